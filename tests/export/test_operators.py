"""Operators in terms of others: the same answers, to the last number."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from ops.export import operators

numbers = st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=40).map(torch.tensor)


@given(numbers)
def test_cumulative_minima(x):
    assert torch.equal(operators.cummin(x, 0)[0], torch.cummin(x, 0).values)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30).map(torch.tensor))
def test_sorted_values(x):
    assert torch.equal(operators.stable_sort(x, stable=True)[0], torch.sort(x, stable=True).values)


@given(numbers, numbers, st.booleans())
def test_places_among_ends(ends, values, right):
    ends = ends.sort().values
    assert torch.equal(operators.searchsorted(ends, values, right=right), torch.searchsorted(ends, values, right=right))


@given(numbers, st.integers(1, 2**30))
def test_quotients_are_exact(x, divisor):
    assert torch.equal(operators.floor_divide(x, divisor), x // divisor)
    assert torch.equal(operators.floor_divide(x, torch.tensor(divisor)), x // divisor)
    whole = torch.tensor([divisor * 2**22 - 1, divisor * 2**22])  # beyond float32, at the edge of a quotient
    assert operators.floor_divide(whole, divisor).tolist() == [2**22 - 1, 2**22]


@given(st.integers(1, 3), st.integers(0, 5), st.integers(0, 5))
def test_a_slice_is_replaced(dim, start, length):
    x, end = torch.arange(6 * 6 * 6 * 6).view(6, 6, 6, 6), min(6, start + length)
    part = -x.narrow(dim, start, end - start)
    expected = torch.slice_scatter(x, part, dim, start, end)
    assert torch.equal(operators.slice_scatter(x, part, dim, start, end), expected)
    if end < 6:
        assert torch.equal(operators.slice_scatter(x, part, dim, start - 6, end - 6), expected)
