"""The paper's clustering against a slow, obvious reference, and the properties it promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._dynamo.utils import counters

from ops import clustering
from ops.clustering import (
    CLUSTERINGS,
    DISTANCES,
    REDUCTIONS,
    Clustering,
    Distance,
    TemporalClustering,
    cluster_means,
    find_clusters,
    frame_changes,
    frame_distances,
)
from ops.models import build_model


def reference_starts(d, t, g, method):
    """Cluster starts of one video with integer changes d[0..t-1] (d[0] unused), t >= g, step by step."""
    even = [k * t // g for k in range(g)]
    if method == "even" or sum(d[1:]) == 0:
        return even
    if method == "slope":
        best_first = sorted(range(1, t), key=lambda i: (-d[i], i))
        return [0] + sorted(best_first[: g - 1])
    total, starts = sum(d[1:]), [0]
    for k in range(1, g):
        running, i = 0, 0
        while running * g <= k * total:  # first frame whose sum is above k/g of the total
            i += 1
            running += d[i]
        starts.append(min(max(i, starts[-1] + 1), t - (g - k)))
    return starts


def reference(d, t, g, method):
    """(assignment of t frames, frames of each of g clusters) of one video."""
    if t < g:
        shown = [k * t // g for k in range(g)]
        return [shown.index(i) for i in range(t)], [[i] for i in shown]
    starts = reference_starts(d, t, g, method) + [t]
    members = [list(range(starts[k], starts[k + 1])) for k in range(g)]
    return [k for k, frames in enumerate(members) for _ in frames], members


def cases(seed, number):
    """Batches of videos of changes: many ties, zeros, single big jumps, t from 1 to 40."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        videos = []
        for _ in range(rng.integers(1, 5)):
            t = int(rng.integers(1, 41))
            kind = rng.integers(5)
            if kind == 0:
                d = rng.integers(0, 3, t)  # ties
            elif kind == 1:
                d = np.zeros(t, int)
            elif kind == 2:
                d = (rng.random(t) < 0.1) * rng.integers(1, 1000, t)  # jumps across several thresholds
            elif kind == 3:
                d = rng.integers(0, 10**6, t)
            else:
                d = np.full(t, 7)
            d[0] = 0
            videos.append(d.tolist())
        yield videos, int(rng.integers(1, 20))


@pytest.mark.parametrize("method", ["slope", "cumulative", "even"])
def test_equals_the_reference_on_thousands_of_batches(method):
    seen = {"t < g": 0, "t = g": 0, "t = 1": 0, "all zero": 0}
    for videos, g in cases(seed=1, number=2000):
        lengths = torch.tensor([len(d) for d in videos])
        changes = torch.tensor([change for d in videos for change in d])
        clusters = find_clusters(changes, lengths, g, method)
        assignment, start, size, first = [], [], [], 0
        for d in videos:
            labels, members = reference(d, len(d), g, method)
            assignment += labels
            start += [first + frames[0] for frames in members]
            size += [len(frames) for frames in members]
            first += len(d)
            seen["t < g"] += len(d) < g
            seen["t = g"] += len(d) == g
            seen["t = 1"] += len(d) == 1
            seen["all zero"] += not any(d)
        assert clusters.assignment.tolist() == assignment, (videos, g)
        assert clusters.start.tolist() == start, (videos, g)
        assert clusters.size.tolist() == size, (videos, g)
    assert min(seen.values()) > 50, seen


def labels_of(changes, g, method):
    return find_clusters(torch.tensor(changes), torch.tensor([len(changes)]), g, method).assignment.tolist()


def test_literal_cuts():
    changes = [0, 1, 9, 1, 1, 5, 1, 8]
    assert labels_of(changes, 3, "slope") == [0, 0, 1, 1, 1, 1, 1, 2]
    assert labels_of(changes, 3, "cumulative") == [0, 0, 1, 1, 1, 1, 2, 2]  # 26 in all: above 8.67, above 17.33
    assert labels_of(changes, 3, "even") == [0, 0, 1, 1, 1, 2, 2, 2]
    assert labels_of([0, 3, 3, 3, 3], 3, "slope") == [0, 1, 2, 2, 2]  # ties: the earlier wins
    assert labels_of([0, 0, 100, 0, 0, 0], 4, "cumulative") == [0, 0, 1, 2, 3, 3]  # one jump passes three thresholds
    assert labels_of([0, 0, 0, 0, 100], 4, "cumulative") == [0, 1, 2, 3, 3][:1] + [0, 1, 2, 3]  # each keeps a frame
    assert labels_of([0, 0, 0, 0, 0, 0], 4, "slope") == [0, 1, 1, 2, 3, 3]  # no change: cut evenly
    assert labels_of([0, 5], 5, "cumulative") == [0, 3]  # t < g: frames 0 0 0 1 1 are shown


@pytest.mark.parametrize("method", CLUSTERINGS)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_every_cluster_is_contiguous_and_keeps_a_frame(method, lengths, g, seed):
    x = torch.randn(sum(lengths), 6, generator=torch.Generator().manual_seed(seed))
    means, assignment = TemporalClustering(g, method)(x, torch.tensor(lengths))
    assert means.shape == (len(lengths) * g, 6)
    for video, labels, mean in zip(
        x.split(lengths), assignment.split(lengths), means.unflatten(0, (-1, g)), strict=True
    ):
        labels = labels.tolist()
        if len(labels) >= g:
            assert sorted(set(labels)) == list(range(g))
            times = [[i for i, label in enumerate(labels) if label == k] for k in range(g)]
            assert CLUSTERINGS[method].whole_videos or labels == sorted(labels)
            assert [sum(some) / len(some) for some in times] == sorted(sum(some) / len(some) for some in times)
            expected = torch.stack([video[[label == k for label in labels]].mean(0) for k in range(g)])
        else:
            expected = video[[k * len(labels) // g for k in range(g)]]
        torch.testing.assert_close(mean, expected)


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_a_video_is_cut_alike_in_every_batch(method):
    videos = [torch.randn(t, 3, 4, 4).relu() for t in (9, 1, 30, 4)]
    clustering = TemporalClustering(5, method)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 2, 0]):
        means, assignment = clustering(
            torch.cat([videos[i] for i in order]), torch.tensor([len(videos[i]) for i in order])
        )
        for i, labels, mean in zip(
            order, assignment.split([len(videos[i]) for i in order]), means.split(5), strict=True
        ):
            alone_mean, alone = clustering(videos[i], torch.tensor([len(videos[i])]))
            assert torch.equal(labels, alone)
            assert torch.equal(mean, alone_mean)


def test_random_cuts_are_seeded_and_cover_every_choice_evenly():
    lengths = torch.full((3000,), 6)
    changes = torch.randint(1, 100, (18000,), generator=torch.Generator().manual_seed(0))
    cuts = find_clusters(changes, lengths, 3, "random", seed=5)
    assert torch.equal(cuts.assignment, find_clusters(changes, lengths, 3, "random", seed=5).assignment)
    assert not torch.equal(cuts.assignment, find_clusters(changes, lengths, 3, "random", seed=6).assignment)
    _, counts = torch.unique(cuts.assignment.view(-1, 6), dim=0, return_counts=True)
    assert len(counts) == 10  # 5 over 2 ways to cut 6 frames into 3
    assert counts.min() > 240  # 300 expected, deviation 16
    assert counts.max() < 360


def test_distances_are_shares_of_differing_signs():
    x = torch.tensor([[0.0, 1, 2, 0], [3, 1, 0, 0], [3, 1, 0, 0], [0, 0, 1, 1], [5, 5, 0, 0]]).view(5, 4, 1, 1)
    assert frame_distances(x, torch.tensor([3, 2])).tolist() == [0.0, 0.5, 0.0, 0.0, 1.0]
    assert frame_changes(x - 10, torch.tensor([5])).tolist() == [0] * 5  # only the sign counts


def test_distances_do_not_depend_on_the_block_that_is_looked_at(monkeypatch):
    x = torch.randn(50, 8)
    whole = (x[1:] > 0).ne(x[:-1] > 0).sum(1).tolist()
    for elements in (8, 24, 10**6):
        monkeypatch.setattr(clustering, "BLOCK_ELEMENTS", elements)
        assert frame_changes(x, torch.tensor([50])).tolist() == [0] + whole


@pytest.mark.parametrize("size", [0, 1, 7, 8, 2040, 2041, 9999])
def test_every_sign_is_counted_whatever_the_frames_size(size):
    """Also where all of them change: the sums inside the bytes of a word must not run over."""
    x = torch.ones(6, size)
    x[[1, 2, 4]] = -1
    assert frame_changes(x, torch.tensor([6])).tolist() == [0, size, 0, size, size, size]
    x = torch.randn(6, size, generator=torch.Generator().manual_seed(0))
    assert frame_changes(x, torch.tensor([6])).tolist() == [0, *(x[1:] > 0).ne(x[:-1] > 0).sum(1).tolist()]


def test_only_what_is_above_zero_is_active():
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [-0.0, -1.0, -inf, nan, 1e-40, inf]])
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert frame_changes(x.to(dtype), torch.tensor([2])).tolist() == [0, 2]


def test_a_lower_precision_cuts_alike():
    x, lengths = torch.randn(40, 16).relu(), torch.tensor([25, 15])
    for method in CLUSTERINGS:
        expected = TemporalClustering(6, method)(x, lengths)[1]
        assert torch.equal(TemporalClustering(6, method)(x.bfloat16(), lengths)[1], expected)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=6, max_size=60))
def test_rounding_keeps_signs_and_so_distances(values):
    x = torch.tensor(values[: len(values) // 3 * 3]).view(3, -1)
    x = torch.where(x.abs() < 1e-7, 0, x)  # what underflows in float16
    lengths = torch.tensor([3])
    for dtype in (torch.bfloat16, torch.float16):
        assert torch.equal(frame_changes(x.to(dtype), lengths), frame_changes(x, lengths))
        assert torch.equal(frame_changes(x.to(dtype), lengths), frame_changes(x.to(dtype).float(), lengths))
    tiny = torch.tensor([[2e-8], [0.0], [4e-8]])
    assert frame_changes(tiny, lengths).tolist() == frame_changes(tiny.bfloat16(), lengths).tolist() == [0, 1, 1]
    assert frame_changes(tiny.half(), lengths).tolist() == [0, 0, 1]


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_the_order_of_memory_does_not_matter_and_stays(method):
    lengths, results = torch.tensor([9, 3, 12]), []
    for form in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(24, 8, 3, 5, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=form)
        x.requires_grad_()
        means, assignment = TemporalClustering(4, method)(x, lengths)
        assert means.shape == (12, 8, 3, 5) and means.is_contiguous(memory_format=form)
        (means * torch.arange(8.0)[:, None, None]).sum().backward()
        results.append((assignment, means, x.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_literal_distances():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 2.0], [2.0, 2.0], [2.0, 2.0], [9.0, 0.0]])
    lengths = torch.tensor([5, 1])
    assert frame_changes(x, lengths, "euclidean").tolist() == [0, 5 * 1024, 2 * 1024, 2 * 1024, 0, 0]
    assert frame_distances(x, lengths, "euclidean").tolist() == [0, 5, 2, 2, 0, 0]
    cosines = frame_distances(x, lengths, "cosine").tolist()  # from nothing to something: 1
    assert cosines == pytest.approx([0, 1, 1, 1 - 0.5**0.5, 0, 0], abs=1e-6)
    assert frame_changes(torch.zeros(2, 3), torch.tensor([2]), "cosine").tolist() == [0, 0]


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@given(st.lists(st.floats(-300, 300, width=32), min_size=8, max_size=60))
def test_distances_of_activations_are_exact_sums(distance, values):
    """Whatever the order in which a device adds up: here the order of a frame's values, and of frames."""
    x = torch.tensor(values[: len(values) // 4 * 4]).view(4, -1)
    lengths, shuffled = torch.tensor([4]), torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(0))
    changes = frame_changes(x, lengths, distance)
    assert frame_changes(x[:, shuffled], lengths, distance).tolist() == changes.tolist()
    assert frame_changes(x.flip(0), lengths, distance)[1:].tolist() == changes[1:].flip(0).tolist()
    exact = {
        "euclidean": (x[1:].double() - x[:-1].double()).norm(dim=1) * 1024,
        "cosine": (1 - nn.functional.cosine_similarity(x[1:].double(), x[:-1].double(), eps=1e-30)) * 2**20,
    }[distance]
    if distance == "euclidean":
        assert (changes[1:] - exact).abs().max() <= 1 + x.shape[1] ** 0.5  # of rounding to 1/1024
    elif x.norm(dim=1).min() > 10:
        assert (changes[1:] - exact).abs().max() < 2**20 * 1e-3 * x.shape[1] ** 0.5


def test_an_activation_beyond_all_bounds_stays_a_number():
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([[0.0, 0.0], [inf, nan], [-inf, 1e30], [0.0, 0.0]])
    for distance in DISTANCES:
        assert frame_changes(x, torch.tensor([4]), distance).min() >= 0
    found = frame_distances(x, torch.tensor([4]), "euclidean").tolist()
    assert found == pytest.approx([0, 1024, 5**0.5 * 1024, 2**0.5 * 1024])


@pytest.mark.parametrize("spoiled", [float("nan"), float("inf"), 1e20])
def test_groups_can_be_had_of_a_network_that_diverges(spoiled):
    """Its loss is what tells, in one line, not an error of the clustering."""
    x = torch.rand(9, 4, generator=torch.Generator().manual_seed(0))
    x[3, 1] = spoiled
    for method in ("kmodes", "kmeans"):
        assert sorted(TemporalClustering(3, method)(x, torch.tensor([9]))[1].unique().tolist()) == [0, 1, 2]


def test_groups_lie_wherever_like_frames_are():
    """A video that goes back and forth between two scenes: contiguous cuts mix them, groups do not."""
    scenes = torch.tensor([[1.0, 1, 1, 0, 0, 0], [0, 0, 0, 5, 5, 5]])
    x = scenes[[0, 0, 1, 1, 0, 0, 1, 1, 1]].view(9, 6, 1, 1)
    for method in ("kmodes", "kmeans"):
        means, assignment = TemporalClustering(2, method)(x, torch.tensor([9]))
        assert assignment.tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 1]  # mean times 2.5 and 5.8
        assert torch.equal(means.flatten(1), scenes)
        later = TemporalClustering(2, method)(x.flip(0), torch.tensor([9]))
        assert later[1].tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 1]  # the other scene is the earlier one now


def test_groups_are_seeded_and_those_of_least_change():
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)).relu()
    for method in ("kmodes", "kmeans"):
        labels = [TemporalClustering(6, method, seed)(x, torch.tensor([60]))[1] for seed in (0, 0, 1)]
        assert torch.equal(labels[0], labels[1]) and not torch.equal(labels[0], labels[2])
        spread = {}
        for name in (method, "random"):
            assignment = TemporalClustering(6, name)(x, torch.tensor([60]))[1]
            seen = (x > 0).float() if method == "kmodes" else x
            spread[name] = sum((seen[assignment == k] - seen[assignment == k].mean(0)).square().sum() for k in range(6))
        assert spread[method] < 0.8 * spread["random"]


def test_a_group_that_nobody_is_near_takes_the_frame_farthest_from_its_own():
    x = torch.tensor([[0.0], [0.0], [0.0], [0.0], [7.0]])
    for method in ("kmodes", "kmeans"):
        assignment = TemporalClustering(3, method)(x, torch.tensor([5]))[1]
        assert sorted(assignment.unique().tolist()) == [0, 1, 2] and (assignment == assignment[4]).sum() == 1
    assert TemporalClustering(3, "kmeans")(x[:4], torch.tensor([4]))[1].tolist() == [0, 1, 2, 2]  # still: evenly


def test_groups_of_signs_are_even_where_no_sign_changes():
    x = 0.1 + torch.rand(9, 4, generator=torch.Generator().manual_seed(0))
    assert TemporalClustering(3, "kmodes")(x, torch.tensor([9]))[1].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("method, reduce", [("kmodes", "mean"), ("kmeans", "mean"), ("cumulative", "middle")])
def test_training_in_lower_precision_groups_as_testing_does(method, reduce):
    """Products of bfloat16 would put other frames together, from the same activations."""
    x = (torch.randn(300, 256, generator=torch.Generator().manual_seed(0)).cumsum(0) / 5).relu()
    clustering = TemporalClustering(16, method, reduce=reduce)
    means, assignment = clustering(x, torch.tensor([300]))
    with torch.autocast("cpu", torch.bfloat16):
        of_training = clustering(x, torch.tensor([300]))
    assert torch.equal(of_training[1], assignment) and torch.equal(of_training[0], means)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(1, 6), st.sampled_from([*REDUCTIONS]))
@settings(deadline=None)
def test_what_stands_for_a_cluster(lengths, g, reduce):
    x = torch.arange(float(sum(lengths))).view(-1, 1).requires_grad_()
    layer = TemporalClustering(g, "even", reduce=reduce)
    clusters = find_clusters(frame_changes(x, torch.tensor(lengths)), torch.tensor(lengths), g, "even")
    draw = torch.rand(len(lengths) * g, generator=torch.Generator().manual_seed(0))
    for training in (True, False):
        means, assignment = layer.train(training)(x, torch.tensor(lengths), draw)
        assert torch.equal(assignment, clusters.assignment)
        for mean, start, size, share in zip(
            means.flatten().tolist(), clusters.start.tolist(), clusters.size.tolist(), draw.tolist(), strict=True
        ):
            first, last = start, start + size - 1
            if reduce == "random":
                assert mean == (start + int(share * size) if training else (first + last) // 2)
            elif reduce == "middle" and size % 2 and size > 4:
                assert mean == (first + last) / 2 - 0.5  # of four frames in an odd number: the earlier ones
            else:
                assert mean == pytest.approx((first + last) / 2)
    means.sum().backward()
    assert x.grad.sum().item() == pytest.approx(len(means))


@pytest.mark.parametrize("reduce", ["random", "middle"])
def test_some_frames_of_groups_are_frames_of_the_same_group(reduce):
    x = torch.randn(40, 3)
    layer = TemporalClustering(4, "kmeans", reduce=reduce)
    means, assignment = layer(x, torch.tensor([40]), torch.full((4,), 0.999))
    for k, mean in enumerate(means):
        members = x[assignment == k]
        some = members[-1:] if reduce == "random" else members[(len(members) - 4) // 2 :][:4]
        torch.testing.assert_close(mean, some.mean(0) if len(members) > 4 or reduce == "random" else members.mean(0))


def test_without_numbers_torch_draws_and_only_where_it_has_to():
    x, lengths = torch.randn(30, 2), torch.tensor([30])
    torch.manual_seed(0)
    state = torch.get_rng_state()
    TemporalClustering(3)(x, lengths)
    TemporalClustering(3, reduce="random").eval()(x, lengths)
    assert torch.equal(torch.get_rng_state(), state)
    means = [TemporalClustering(3, reduce="random")(x, lengths)[0] for _ in range(8)]
    assert any(not torch.equal(means[0], other) for other in means)


def test_gradients_reach_every_frame():
    x = torch.randn(14, 2, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([9, 2, 3])  # two videos are shorter than g
    clusters = find_clusters(frame_changes(x, lengths), lengths, 4, "slope")
    assert torch.autograd.gradcheck(lambda frames: cluster_means(frames, clusters), x)
    cluster_means(x, clusters).sum().backward()
    size_of_frame = clusters.size[clusters.assignment[:9]]  # first video
    torch.testing.assert_close(x.grad[:9, 0, 0], 1 / size_of_frame.double())
    assert x.grad[9:11, 0, 0].tolist() == [2, 2]  # each frame of the short video is shown twice


def test_the_loop_free_means_equal_the_sliced_ones():
    x = torch.randn(60, 3, 5, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([30, 3, 27])
    clusters = find_clusters(frame_changes(x, lengths), lengths, 7, "cumulative")
    results = []
    for means in (clustering._slice_means, clustering._SegmentMeans.apply):
        out = means(x, clusters.start, clusters.size)
        (grad,) = torch.autograd.grad(out.pow(2).sum(), x)
        results.append((out, grad))
    torch.testing.assert_close(results[0], results[1])


def test_off_the_cpu_nothing_waits_for_the_host():
    """On the meta device any look at a value raises, as it would stall a GPU."""
    by_distance = [{"method": method, "distance": name} for method in ("slope", "cumulative") for name in DISTANCES]
    reduced = [{"reduce": name} for name in REDUCTIONS]
    for options in [{"method": "even"}, {"method": "random"}, *by_distance, *reduced]:
        x = torch.zeros(40, 4, 3, 3, device="meta", requires_grad=True)
        means, assignment = TemporalClustering(5, **options)(x, torch.zeros(3, dtype=torch.int64, device="meta"))
        means.sum().backward()
        assert means.shape == (15, 4, 3, 3)
        assert assignment.shape == (40,)
        assert x.grad.shape == x.shape


def test_a_compiled_model_is_not_compiled_again_for_every_length():
    counters.clear()
    model = build_model("resnet_thin", 3, 4, cluster="slope", shift=True).eval()
    compiled = torch.compile(model, backend="aot_eager")
    graphs = []
    with torch.inference_mode():
        for lengths in ([20, 9], [30, 4], [11, 13], [40, 2], [3, 21], [17, 50]):
            frames = torch.randint(0, 255, (sum(lengths), 3, 16, 16), dtype=torch.uint8)
            torch.testing.assert_close(*(net(frames, torch.tensor(lengths)) for net in (model, compiled)))
            graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] == 2  # stem and trunk
    assert graphs[2:] == graphs[1:2] * 4  # the second length is compiled for all that follow


def test_wrong_use_is_named():
    with pytest.raises(ValueError, match="num_clusters is 0"):
        TemporalClustering(0)
    with pytest.raises(ValueError, match=f"unknown clustering 'astrology', choose one of {', '.join(CLUSTERINGS)}"):
        TemporalClustering(4, "astrology")
    with pytest.raises(ValueError, match="add up to the 5 frames"):
        TemporalClustering(2)(torch.zeros(5, 1), torch.tensor([2, 2]))


# ---------------------------------------------------------------- the door for methods of one's own


@pytest.fixture
def mine(monkeypatch):
    """Makes a method `mine` of a function of (changes, layout, seed)."""
    return lambda labels, **options: monkeypatch.setitem(CLUSTERINGS, "mine", Clustering(labels, **options))


def test_no_video_has_fewer_frames_than_clusters(mine):
    """The function need not think of short videos, nor of those without any change."""
    seen = []

    def labels(changes, layout, seed):
        seen.append((layout.lengths.tolist(), layout.clusters.tolist(), changes.tolist(), seed))
        return torch.minimum(layout.position, layout.clusters[layout.video] - 1)

    mine(labels)
    given = [0, 5] + [0] + [0, 3, 3] + [0, 0, 0, 0, 0, 0]
    clusters = find_clusters(torch.tensor(given), torch.tensor([2, 1, 3, 6]), 3, "mine", 8)
    assert seen == [([2, 1, 3, 6], [2, 1, 3, 3], given, 8)]
    assert clusters.assignment.tolist() == [0, 2] + [0] + [0, 1, 2] + [0, 0, 1, 1, 2, 2]  # the last is still: evenly
    assert clusters.start.tolist() == [0, 0, 1] + [2, 2, 2] + [3, 4, 5] + [6, 8, 10]


def test_a_method_may_ask_for_activations(mine):
    """Here: a cluster of dark frames, then one of bright ones, between which no sign changes."""
    mine(lambda activations, layout, seed: (activations.mean(1) > 5).long(), whole_videos=True)
    x = torch.ones(6, 3, 2)
    x[2:] = 9
    means, assignment = TemporalClustering(2, "mine")(x, torch.tensor([6]))
    assert assignment.tolist() == [0, 0, 1, 1, 1, 1] and means[:, 0, 0].tolist() == [1, 9]


@pytest.mark.parametrize(
    "between, found",
    [
        (lambda x: torch.zeros(len(x) - 1), r"an int64 for each of 4 frames, not torch.float32 \(4,\)"),
        (lambda x: torch.zeros(5, dtype=torch.int64), r"not torch.int64 \(5,\)"),
        (lambda x: None, "not a NoneType"),
        (lambda x: torch.full((len(x) - 1,), -2), "gave -2; it must be at least 0"),
    ],
)
def test_a_distance_that_gives_another_thing_is_an_error(monkeypatch, between, found):
    monkeypatch.setitem(DISTANCES, "mine", Distance(between, lambda d: d, "of mine"))
    with pytest.raises(ValueError, match=f"distance 'mine' .*{found}"):
        TemporalClustering(2, distance="mine")(torch.zeros(5, 3, 1, 1), torch.tensor([5]))


def test_labels_that_are_no_tensor_are_an_error(mine):
    mine(lambda changes, layout, seed: [0, 0, 1])
    with pytest.raises(ValueError, match="clustering 'mine' must give an int64 label for each of 3 frames, not a list"):
        find_clusters(torch.tensor([0, 1, 2]), torch.tensor([3]), 2, "mine")


@pytest.mark.parametrize(
    "labels",
    [
        [0, 0, 2, 2, 2],  # one is empty
        [0, 1, 0, 1, 2],  # backwards
        [0, 0, 1, 1, 1],  # the last one is empty
        [1, 1, 2, 2, 2],  # the first one is
        [0, 1, 2, 3, 3],  # one too many
        [-1, 0, 1, 2, 2],
    ],
)
def test_an_answer_that_is_no_cut_is_an_error_and_not_a_mean_of_nothing(mine, labels):
    mine(lambda changes, layout, seed: torch.tensor([0, 1, 2, *labels]))
    with pytest.raises(ValueError, match="clustering 'mine' must cut a video of 5 frames into 3 clusters") as error:
        find_clusters(torch.ones(8, dtype=torch.int64), torch.tensor([3, 5]), 3, "mine")
    assert str(error.value).endswith(f"it gave {labels}")


@pytest.mark.parametrize("labels", [torch.zeros(7, dtype=torch.int64), torch.zeros(8), torch.zeros(8, 1).long()])
def test_an_answer_that_is_no_label_for_each_frame_is_an_error(mine, labels):
    mine(lambda changes, layout, seed: labels)
    with pytest.raises(ValueError, match="clustering 'mine' must give an int64 label for each of 8 frames, not torch"):
        find_clusters(torch.ones(8, dtype=torch.int64), torch.tensor([3, 5]), 3, "mine")


# ---------------------------------------------------------------- the argument of the paper


def bias_free_net(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(384, 3, False))


def test_frames_with_one_sign_pattern_have_one_gradient_through_the_first_stage():
    """The paper's argument (Liu et al.): in a bias-free ReLU net a frame and a scaled copy of it have the
    same sign pattern, hence pass the same linear map: what flows back to the activations, and the map from frame to
    activations, are the same for both; the weights' gradients are then in proportion to the frames. A frame with
    another pattern passes another map.
    """
    net = bias_free_net(0)
    frame = torch.randn(1, 1, 8, 8)
    frames = torch.cat([frame, 3 * frame, torch.randn(1, 1, 8, 8)])
    pattern = net[0](frames).flatten(1) > 0
    assert torch.equal(pattern[0], pattern[1])
    assert not torch.equal(pattern[0], pattern[2])

    def gradients(one):  # of one score, with respect to the frame and to the first stage's weights
        one = one.clone().requires_grad_()
        return torch.autograd.grad(net(one[None])[0, 0], [one, net[0].weight])

    (input_0, weight_0), (input_1, weight_1), (input_2, _) = (gradients(one) for one in frames)
    torch.testing.assert_close(input_0, input_1)
    torch.testing.assert_close(3 * weight_0, weight_1)
    assert not torch.allclose(input_0, input_2)


def test_the_mean_of_frames_with_one_sign_pattern_gives_the_mean_gradient():
    """For such frames, one pass of the mean stands for all passes: first-stage gradients agree exactly."""
    net = bias_free_net(1).double()
    frame = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    frames = torch.cat([frame, 2 * frame, 5 * frame])
    weight = net[0].weight
    (each,) = torch.autograd.grad(net(frames).mean(0).sum(), weight)
    means, _ = TemporalClustering(1)(net[:2](frames), torch.tensor([3]))
    (of_mean,) = torch.autograd.grad(net[2:](means).sum(), weight)
    torch.testing.assert_close(each, of_mean)
