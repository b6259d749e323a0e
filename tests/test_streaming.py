"""The stem in chunks: the same means, cuts and gradients as at once, and no more memory for longer videos."""

import shlex
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from ops.clustering import CLUSTERINGS, DISTANCES, REDUCTIONS, Clustering, Distance, frame_changes, frame_distances
from ops.data.loading import VideoBatch
from ops.models import build_model
from ops.streaming import (
    KEPT,
    Streaming,
    choose_streaming,
    copied_ahead,
    copying_stream,
    describe_streaming,
    saved_bytes,
    stream,
    stream_changes,
    to_device,
)
from ops.training.engine import train_one_epoch

CPU = torch.device("cpu")
METHODS = [method for method, clustering in CLUSTERINGS.items() if not clustering.whole_videos]


def thin(num_segments=4, cluster="slope", **options):
    """A thin ResNet with running statistics that differ from unit to unit."""
    torch.manual_seed(1)
    options = {"seed": 5, "partial_bn": False, "dropout": 0.0} | options
    model = build_model("resnet_thin", 4, num_segments, cluster=cluster, **options)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 2)
    nn.init.normal_(model.new_fc.weight)
    return model


def clips(t, seed=0, size=32):
    """uint8 frames (t, 3, size, size) with some change of light in the middle."""
    frames = torch.randint(0, 256, (t, 3, size, size), generator=torch.Generator().manual_seed(seed)).byte()
    frames[t // 2 :] //= 3
    return frames


def gradients(model, frames, lengths, draw=()):
    """Means, assignment and the stem's gradients of a random function of the means."""
    model.zero_grad()
    means, assignment = model.represent(frames, lengths, draw)
    weight = torch.randn(means.shape, dtype=means.dtype, generator=torch.Generator().manual_seed(0))
    (means * weight).sum().backward()
    return means, assignment, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same_gradients(found, expected, tolerance):
    for name, grad in expected.items():
        assert (found[name] - grad).abs().max() <= tolerance * grad.abs().max().clamp(min=1e-12), name


def counted(model):
    """Numbers of frames that pass the stem from now on, a list that grows."""
    sizes, run_stem = [], model.run_stem
    model.run_stem = lambda frames: sizes.append(len(frames)) or run_stem(frames)
    return sizes


# ---------------------------------------------------------------- as at once


@settings(max_examples=30, derandomize=True)
@given(
    st.sampled_from(METHODS),
    st.integers(1, 6),
    st.lists(st.integers(1, 15), min_size=1, max_size=4),
    st.integers(1, 20),
    st.sampled_from(["conv1", "layer1"]),
    st.booleans(),
)
def test_gradients_equal_plain_autograd(method, g, lengths, chunk, cluster_after, frozen):
    """With running statistics in the stem, in evaluation or by `freeze_stem_bn`."""
    model = thin(g, method, cluster_after=cluster_after, freeze_stem_bn=frozen).double().train(frozen)
    frames, lengths = clips(sum(lengths)).double() / 64 - 2, torch.tensor(lengths)
    expected = gradients(model, frames, lengths)
    model.streaming = Streaming(chunk)
    means, assignment, grads = gradients(model, frames, lengths)
    torch.testing.assert_close(means, expected[0], rtol=1e-10, atol=1e-10)
    assert torch.equal(assignment, expected[1])
    assert grads.keys() == expected[2].keys() and len(grads) in (1, 3, 9)
    assert_same_gradients(grads, expected[2], 1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_bytes_and_single_precision(method):
    model, frames, lengths = thin(4, method).eval(), clips(45), torch.tensor([30, 12, 3])
    expected = gradients(model, frames, lengths)
    model.streaming = Streaming(8)
    means, assignment, grads = gradients(model, frames, lengths)
    assert torch.equal(assignment, expected[1])
    torch.testing.assert_close(means, expected[0])
    assert_same_gradients(grads, expected[2], 1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("t", [1, 3, 4, 23])
@torch.inference_mode()
def test_one_video_in_evaluation(method, t):
    model, frames, lengths = thin(4, method, shift=True).eval(), clips(t), torch.tensor([t])
    means, assignment = model.represent(frames, lengths)
    distances = frame_distances(model.run_stem(frames), lengths)
    for chunk in (1, 2, 5, 22, 23, 99):
        streamed = stream(model.stem, model.clustering, frames, lengths, chunk)
        torch.testing.assert_close(streamed[0], means)
        assert streamed[1].tolist() == assignment.tolist()
        assert streamed[2].tolist() == distances.tolist()
    torch.testing.assert_close(model.classify(streamed[0], 1), model(frames, lengths))


@torch.inference_mode()
@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_still_videos_beside_moving_ones(chunk):
    """A video without any change is cut evenly, which slope cannot know before its end; one with few changes is not."""
    still, few = clips(1).expand(11, -1, -1, -1), clips(2)[[0] * 6 + [1] * 3]
    frames, lengths = torch.cat([still, clips(9), few, still[:2]]), torch.tensor([11, 9, 9, 2])
    model = thin(4, "slope").eval()
    means, assignment = model.represent(frames, lengths)
    streamed = stream(model.stem, model.clustering, frames, lengths, chunk)
    assert streamed[1].tolist() == assignment.tolist()
    torch.testing.assert_close(streamed[0], means)


@pytest.mark.parametrize("method, passes", [("slope", [4, 4, 2]), ("cumulative", [4, 4, 2, 4, 4])])
def test_how_often_the_stem_runs(method, passes):
    """Slope once; the others again, from the last chunk, which is still there; backward once more."""
    model, lengths = thin(4, method).eval(), torch.tensor([10])
    sizes = counted(model)
    means = stream(model.stem, model.clustering, clips(10), lengths, 4)[0]
    assert sizes == passes
    means.sum().backward()
    assert sizes[len(passes) :] == [4, 4, 2]
    sizes.clear()
    stream(model.stem, model.clustering, clips(10), lengths, 10)
    assert sizes == [10]


@pytest.mark.parametrize("method", ["cumulative", "even"])
def test_a_budget_of_memory_saves_runs_and_changes_no_bit(method):
    """Activations of the first frames stay as long as they fit; the last chunk is there anyway."""
    passes, again = [3, 3, 1, 3, 2], [4, 4, 3, 1, 0]
    model, lengths = thin(4, method, freeze_stem_bn=True).train(), torch.tensor([7, 5])
    frame = model.run_stem(clips(1)).nbytes
    sizes, found = counted(model), []
    for memory, more in zip((0, 3 * frame - 1, 3 * frame, 7 * frame, 99 * frame), again, strict=True):
        sizes.clear()
        found.append(stream(model.stem, model.clustering, clips(12), lengths, 3, None, memory)[0])
        assert sizes[: len(passes)] == passes and len(sizes) - len(passes) == more, (memory, sizes)
    assert all(torch.equal(means, found[0]) for means in found)


def test_changes_alone():
    model, frames = thin().eval(), clips(11)
    with torch.no_grad():
        x = model.run_stem(frames)
    changes, signs = stream_changes(model.stem, frames, 4)
    assert signs == x[0].numel() and torch.equal(changes, frame_changes(x, torch.tensor([11])))


@pytest.mark.parametrize("distance", [*DISTANCES])
@pytest.mark.parametrize("reduce", [*REDUCTIONS])
@pytest.mark.parametrize("method", ["slope", "cumulative"])
def test_every_distance_and_reduction_in_chunks(distance, reduce, method):
    """Frames that stand for clusters are those of the run at once, and so are gradients."""
    model = thin(4, method, distance=distance, reduce=reduce, freeze_stem_bn=True).double().train()
    frames, lengths = clips(35).double() / 64 - 2, torch.tensor([20, 12, 3])
    expected = gradients(model, frames, lengths)
    for memory in (0, 2**30):
        model.streaming = Streaming(6, memory=memory)
        means, assignment, grads = gradients(model, frames, lengths)
        assert torch.equal(assignment, expected[1])
        torch.testing.assert_close(means, expected[0], rtol=1e-10, atol=1e-10)
        assert_same_gradients(grads, expected[2], 1e-9)
    with torch.no_grad():
        distances = model.cut(frames, lengths, 6)[2]
        assert torch.equal(distances, frame_distances(model.run_stem(frames), lengths, distance))


@pytest.mark.parametrize("at_largest", [True, False])
def test_a_distance_of_ones_own(monkeypatch, at_largest):
    """In chunks as at once, and not as by signs: the largest difference of a value, in thousandths."""
    largest = Distance(lambda x: (1000 * (x[1:] - x[:-1]).abs().amax(1)).long(), lambda d: 1000, "largest difference")
    monkeypatch.setitem(DISTANCES, "largest", largest)
    monkeypatch.setitem(CLUSTERINGS, "mine", Clustering(CLUSTERINGS["slope"].labels, at_largest))
    model, frames, lengths = thin(4, "mine", distance="largest").eval(), clips(30), torch.tensor([18, 12])
    with torch.no_grad():
        means, assignment = model.represent(frames, lengths)
        streamed = stream(model.stem, model.clustering, frames, lengths, 5)
    torch.testing.assert_close(streamed[0], means)
    assert torch.equal(streamed[1], assignment)
    assert not torch.equal(assignment, thin(4, "slope").eval().represent(frames, lengths)[1])


def test_a_method_that_looks_at_whole_videos_is_not_streamed(monkeypatch):
    monkeypatch.setitem(CLUSTERINGS, "mine", CLUSTERINGS["even"]._replace(whole_videos=True))
    model = thin(4, "mine").eval()
    model.streaming, sizes = Streaming(4), counted(model)
    model.represent(clips(9), torch.tensor([9]))
    assert sizes == [9]
    assert describe_streaming(model.streaming, model.stem, model.clustering).endswith(", as mine looks at them")
    with pytest.raises(ValueError, match="a clustering by changes between neighbouring frames, not 0 .* 'mine'"):
        stream(model.stem, model.clustering, clips(9), torch.tensor([9]), 4)


@pytest.fixture
def cuda_work(monkeypatch):
    """The work on the two streams of a CUDA device, in order, with stand-ins for them."""
    work = []

    class FakeStream:
        def __init__(self, name="copying"):
            self.name = name

        def wait_stream(self, other):
            work.append(f"{self.name} waits")

    copying_stream.cache_clear()
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: FakeStream("computing"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: work.append("new stream") or FakeStream())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    yield work
    copying_stream.cache_clear()


def test_tensors_are_copied_one_ahead(cuda_work):
    def copy(tensor):
        cuda_work.append(f"copy {tensor}")
        return tensor

    cuda = torch.device("cuda")
    for _ in range(2):
        work = cuda_work
        work.clear()
        for tensor in copied_ahead("abc", cuda, copy):
            work.append(f"compute {tensor}")
        assert [step for step in work if "waits" not in step and step != "new stream"] == [
            "copy a",
            "copy b",
            "compute a",
            "copy c",
            "compute b",
            "compute c",
        ]
        for tensor in "abc":  # nothing is computed on before its copy, nor overwritten while it is
            copied, computed = work.index(f"copy {tensor}"), work.index(f"compute {tensor}")
            assert work[copied - 1] == "copying waits" and "computing waits" in work[copied:computed]
        assert work.index("copy c") > work.index("compute a")
    assert "new stream" not in work  # another would have memory of its own
    assert list(copied_ahead([], cuda, copy)) == []


def test_on_other_devices_nothing_is_asked_for_ahead():
    asked = []
    for item in copied_ahead((asked.append(i) or i for i in range(3)), CPU, str):
        assert asked == list(range(int(item) + 1))


def test_copies_to_cuda_are_made_from_pinned_memory():
    class FakeTensor:
        device = CPU

        def __init__(self, pinned):
            self.pinned, self.calls = pinned, []

        def is_pinned(self):
            return self.pinned

        def pin_memory(self):
            self.calls.append("pin")
            return self

        def to(self, device, non_blocking):
            self.calls.append(f"to {device}, non_blocking {non_blocking}")
            return self

    cuda = torch.device("cuda:1")
    assert to_device(FakeTensor(False), cuda).calls == ["pin", "to cuda:1, non_blocking True"]
    assert to_device(FakeTensor(True), cuda).calls == ["to cuda:1, non_blocking True"]
    assert to_device(FakeTensor(False), CPU).calls == ["to cpu, non_blocking True"]


@pytest.mark.parametrize("problem", ["frame", "chunk", "lengths"])
def test_what_cannot_be_streamed_is_refused(problem):
    model = thin().eval()
    t = 0 if problem == "frame" else 5
    with pytest.raises(ValueError, match="streaming takes"):
        stream(
            model.stem,
            model.clustering,
            clips(5)[:t],
            torch.tensor([t + (problem == "lengths")]),
            0 if problem == "chunk" else 2,
        )


def test_nothing_but_weights_is_kept_between_forward_and_backward():
    model, kept = thin(freeze_stem_bn=True).train(), []
    model.streaming = Streaming(4)
    weights = {p.data_ptr() for p in model.parameters()}
    with saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        model.represent(clips(40), torch.tensor([40]))
    assert kept and {x.data_ptr() for x in kept} <= weights


# ---------------------------------------------------------------- BatchNorm in training mode


@pytest.mark.parametrize("options", [{}, {"partial_bn": True}, {"cluster_after": "conv1"}])
def test_a_stem_whose_batch_norm_trains_passes_at_once_in_training_and_in_chunks_in_evaluation(options):
    model = thin(3, **options)
    model.streaming, sizes = Streaming(4), counted(model)
    for training in (True, False, True):
        model.train(training)
        model.represent(clips(10), torch.tensor([10]))
        assert sizes == ([10] if training else [4, 4, 2])
        sizes.clear()


def test_a_stem_whose_batch_norm_trains_is_refused():
    model = thin(3).train()
    with pytest.raises(ValueError, match="BatchNorms do not train.* not 3 that train and 'slope'"):
        stream(model.stem, model.clustering, clips(5), torch.tensor([5]), 2)


def test_running_statistics_are_those_of_one_pass_over_the_batch(monkeypatch):
    """With a stem that trains them, streaming or not."""
    monkeypatch.setattr("ops.streaming.AT_ONCE", 1)
    model, plain, lengths = thin(3, "cumulative").train(), thin(3, "cumulative").train(), torch.tensor([12])
    model.streaming = choose_streaming(model.stem, "auto", 32)
    assert model.streaming.above == 8  # it would stream, and measuring activations trained nothing
    for net in (model, plain):
        net.represent(clips(12), lengths)
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in model.state_dict().items())


def test_frozen_stem_statistics_stay():
    model = thin(freeze_stem_bn=True)
    assert model.stem.training_norms == []  # from the start
    frozen = [norm for stage in model.stem_modules for norm in stage.modules() if isinstance(norm, nn.BatchNorm2d)]
    assert len(frozen) == 3
    for _ in range(2):  # and still do after an evaluation
        model.eval().train()
        assert not any(norm.training or norm.weight.requires_grad for norm in frozen)
        assert model.base_model.layer2[0].bn1.training
    assert not any(
        n.training
        for n in thin(freeze_stem_bn=True, partial_bn=True).train().base_model.modules()
        if isinstance(n, nn.BatchNorm2d)
    )


# ---------------------------------------------------------------- representative gradients


def stem_gradient(model, seed=None):
    model.zero_grad()
    rng = None if seed is None else np.random.default_rng(seed)
    means = stream(model.stem, model.clustering, clips(14), torch.tensor([9, 5]), 3, rng)[0]
    (means * torch.linspace(-1, 1, means.numel()).view_as(means)).sum().backward()
    return torch.cat([p.grad.flatten() for stage in model.stem_modules for p in stage.parameters()])


def test_representative_gradients_are_right_on_average():
    """The mean of n draws comes near the exact gradient as 1 / sqrt(n)."""
    model = thin(3).eval()
    exact, draws = stem_gradient(model), torch.stack([stem_gradient(model, (7, i)) for i in range(100)])
    spread = draws.std(0).norm()
    assert spread > 0.05 * exact.norm()
    assert (draws.mean(0) - exact).norm() < 1.3 * spread / 100**0.5


def test_representative_gradients_depend_on_the_draw_only():
    model = thin(3).eval()
    first = stem_gradient(model, (1, 2))
    torch.manual_seed(9)
    assert torch.equal(first, stem_gradient(model, (1, 2))) and not torch.equal(first, stem_gradient(model, (1, 3)))


@pytest.mark.parametrize("training", [True, False])
def test_representative_backward_runs_as_many_frames_as_clusters(training):
    model = thin(3, freeze_stem_bn=training).train(training)
    sizes = counted(model)
    means = stream(model.stem, model.clustering, clips(50), torch.tensor([49, 1]), 4, np.random.default_rng(0))[0]
    sizes.clear()
    means.sum().backward()
    assert sum(sizes) == 6 and max(sizes) <= 4


# ---------------------------------------------------------------- when to stream


def test_choice():
    stem = thin().stem
    assert choose_streaming(stem, 0, 32) is None and choose_streaming(thin(cluster="none").stem, 8, 32) is None
    assert choose_streaming(stem, 5, 32, memory=9) == Streaming(5, memory=9)
    assert str(Streaming(5)) == "in chunks of 5 frames"
    auto = choose_streaming(stem, "auto", 64)
    assert auto == choose_streaming(thin(freeze_stem_bn=True).stem, "auto", 64)
    assert auto.chunk == 8 and auto.above == 2**31 // saved_bytes(stem, 64)
    assert choose_streaming(stem, "auto", 128).above == pytest.approx(auto.above / 4, rel=0.01)
    assert choose_streaming(stem, "auto", 64, representative=True) == Streaming(8, 0, True, KEPT)
    assert f"up to {auto.above} frames at once, longer ones in chunks of 8" in str(auto)


@pytest.mark.parametrize("gibibytes", [8, 80])
def test_a_card_takes_at_once_what_its_memory_allows(monkeypatch, gibibytes):
    asked = []
    memory = 3 * 2**30, gibibytes * 2**30  # free, total
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: asked.append(str(device)) or memory)
    stem = thin().stem
    auto = choose_streaming(stem._replace(device=torch.device("cuda:1")), "auto", 64)
    assert auto == Streaming(64, gibibytes * 2**28 // saved_bytes(stem, 64), False, 3 * 2**28)
    assert set(asked) == {"cuda:1"}


def test_the_choice_in_words():
    """What the header says is what happens in training, or in evaluation, whichever the model is in."""
    told = [
        describe_streaming(streaming, model.stem, model.clustering)
        for model in (thin().train(), thin().eval(), thin(freeze_stem_bn=True).train())
        for streaming in (None, Streaming(5))
    ]
    plain = "all frames of a batch at once"
    assert told == [
        plain,
        f"{plain}; --freeze_stem_bn lets long videos pass in chunks",
        plain,
        "in chunks of 5 frames",
        plain,
        "in chunks of 5 frames",
    ]


def test_bytes_that_the_stem_keeps():
    """Counted by hand for conv1 of 12 channels at 32 pixels: input, convolution, ReLU, and the places of maxima."""
    assert saved_bytes(thin(cluster_after="conv1").stem, 32) == 4 * (3 * 32**2 + 2 * 12 * 16**2 + 2 * 12 * 8**2)


def test_auto_streams_long_batches_only(monkeypatch):
    monkeypatch.setattr("ops.streaming.AT_ONCE", 40 * saved_bytes(thin().stem, 32))
    model = thin().eval()
    model.streaming = choose_streaming(model.stem, "auto", 32)
    sizes = counted(model)
    with torch.no_grad():
        model(clips(40), torch.tensor([30, 10]))
        assert sizes == [40]
        model(clips(41), torch.tensor([31, 10]))
    assert sizes[1:] == [8, 8, 8, 7, 8, 2]


@pytest.mark.parametrize("representative", [True, False])
def test_training_learns_one_batch(representative):
    model = thin(2, shift=True, freeze_stem_bn=True)
    model.streaming = Streaming(4, 0, representative)
    batch = VideoBatch(clips(14), torch.tensor([3, 4, 5, 2]), torch.arange(4), list("abcd"))
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9)
    results = [train_one_epoch(model, [batch], optimizer, CPU, 5, key=(0, epoch)) for epoch in range(25)]
    assert results[-1].loss < 0.2 < results[0].loss and results[-1].top1 == 100


# ---------------------------------------------------------------- through the command line


def test_runs_in_chunks(run_main, tiny_data):
    """Trained in chunks, evaluated in chunks and at once; the choice is told, and a resumed run keeps it."""
    words = shlex.split("movingmnist RGB --arch resnet_thin --input_size 32 --num_segments 4 -b 4 -j 0 --device cpu")
    words += ["--root_path", tiny_data]
    told = "stem      in chunks of 8 frames, gradient of one frame per cluster"
    trained = run_main(
        *words,
        "--epochs",
        1,
        "--stem_chunk",
        8,
        "--stem_grad",
        "representative",
        "--frame_stride",
        2,
        "--freeze_stem_bn",
        "--suffix",
        "s",
    )
    assert trained.code == 0 and told in trained.out, trained
    assert "seen: one in 2, 4 cumulative clusters" in trained.out
    resume = ["--resume", f"checkpoint/{next(iter(Path('checkpoint').iterdir())).name}/ckpt.pth.tar"]
    more = run_main(*words, "--epochs", 2, *resume, "--suffix", "more")
    assert more.code == 0 and told in more.out, more
    shown = [run_main("--evaluate", *words, *resume, "--stem_chunk", n) for n in (3, 0, "auto")]
    assert all("4 videos, 40 frames" in ran.out for ran in shown), shown
    assert len({ran.out.splitlines()[-1].rpartition("Loss")[0] for ran in shown}) == 1
    for ran, text in zip(shown, ("in chunks of 3 ", "all frames of a batch at once", "batches of up to "), strict=True):
        assert f"stem      {text}" in ran.out
