"""RandAugment and erasing: clips keep their shape, frames that are alike stay alike, and every draw is known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ops.data.augment import GREY, OPERATIONS, STRENGTH, erase, rand_augment
from ops.data.views import train_transform

seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(t, channels=3, size=20):
    return torch.from_numpy(rng(t).integers(40, 200, (t, channels, size, size), np.uint8))


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_that_are_alike_stay_alike(name, channels):
    frame = noise(1, channels)
    for magnitude in (-STRENGTH, STRENGTH):
        clip = OPERATIONS[name](frame.expand(3, -1, -1, -1), magnitude)
        assert clip.shape == (3, channels, 20, 20) and clip.dtype == torch.uint8
        assert torch.equal(clip, clip[:1].expand_as(clip))
        idle = name == "nothing" or name == "colour" and channels == 1
        assert torch.equal(clip[0], frame[0]) == idle


@pytest.mark.parametrize("name", ["contrast", "autocontrast", "equalize"])
def test_tones_are_those_of_the_whole_clip(name):
    """A dark frame and a bright one: by themselves each would become as bright as the other."""
    clip = torch.stack([torch.full((3, 8, 8), 50), torch.full((3, 8, 8), 90)]).to(torch.uint8)
    changed = OPERATIONS[name](clip, STRENGTH)
    assert changed[0].unique().numel() == changed[1].unique().numel() == 1
    assert int(changed[1].max()) - int(changed[0].max()) >= 40


def test_literal_changes():
    clip = torch.tensor([[10, 100], [200, 250]], dtype=torch.uint8).expand(2, 3, 2, 2)
    assert OPERATIONS["solarize"](clip, -0.3)[1, 0].tolist() == [[10, 100], [55, 5]]
    assert OPERATIONS["posterize"](clip, 0.3)[1, 0].tolist() == [[10, 100], [200, 250]]
    assert OPERATIONS["posterize"](clip, 1.0)[1, 0].tolist() == [[0, 96], [192, 240]]
    assert OPERATIONS["brightness"](clip, 0.3)[0, 0].tolist() == [[12, 127], [254, 255]]
    assert OPERATIONS["brightness"](clip, -0.3)[0, 0].tolist() == [[7, 73], [146, 182]]


def test_two_operations_and_their_directions_are_drawn():
    drawn = [(change.func, change.keywords["m"]) for seed in range(300) for change in rand_augment(rng(seed))]
    assert len(drawn) == 600 and len(set(drawn)) == 2 * len(OPERATIONS)


@given(seeds, st.integers(16, 99))
def test_a_box_becomes_grey_in_every_frame(seed, size):
    clip = torch.zeros(3, 1, size, size, dtype=torch.uint8)
    erased = erase(rng(seed), size)(clip)
    assert clip.max() == 0 and set(erased.unique().tolist()) <= {0, GREY}
    assert torch.equal(erased, erased[:1].expand_as(erased))
    box = (erased[0, 0] == GREY).nonzero()
    assert 0.01 < len(box) / size**2 < 0.36
    height, width = (box.max(0).values - box.min(0).values + 1).tolist()
    assert height * width == len(box)


def test_changes_are_drawn_after_crop_and_mirror():
    """So that a run without them sees the crops that it saw before there were any."""
    clip = noise(2, size=40)
    plain = train_transform(40, 40, rng(7), 24, True)
    changed = train_transform(40, 40, rng(7), 24, True, augment=True, erasing=1.0)
    assert changed.box == plain.box and changed(clip).shape == (2, 3, 24, 24)
    assert not torch.equal(changed(clip), plain(clip)) and torch.equal(changed(clip), changed(clip))
    black = torch.zeros_like(clip)
    erased = [bool(train_transform(40, 40, rng(seed), 24, True, erasing=0.5)(black).any()) for seed in range(200)]
    assert 70 < sum(erased) < 130
