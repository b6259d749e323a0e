"""A video that goes on: each window has the scores that the model gives for a video of its frames."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ops.data.modality import MODALITIES
from ops.data.sampling import FrameSampler
from ops.errors import InputError
from ops.heads.head import video_logits
from ops.live.online import OnlineEngine, can_go_online
from ops.live.spans import Clock, Span, check_spans
from ops.live.windows import WindowEngine
from ops.models import build_model

SIZE = 16


def make_model(g: int = 4, **options):
    """An untrained thin network whose classes differ, in eval mode."""
    torch.manual_seed(0)
    model = build_model("resnet_thin", 3, g, **options).eval()
    nn.init.normal_(model.new_fc.weight)
    return model


def make_frames(t: int, seed: int = 0) -> torch.Tensor:
    """Frames that change a little, and sometimes much, uint8 (t, 3, SIZE, SIZE)."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 1, (t, 3, SIZE, SIZE)) * rng.choice([2, 40], (t, 1, 1, 1), p=[0.8, 0.2])
    return torch.from_numpy((128 + steps.cumsum(0)).clip(0, 255).astype(np.uint8))


@torch.inference_mode()
def probabilities(model, sampler, frames: torch.Tensor) -> torch.Tensor:
    """What the model says of a video of these frames, as a data set loads and evaluation shows them."""
    stack = MODALITIES[model.modality].stack
    first = sampler(max(1, len(frames) - stack + 1), 0, None)
    numbers = np.minimum(first[:, None] + np.arange(stack), len(frames) - 1)
    steps = frames[torch.from_numpy(numbers)].flatten(1, 2)
    return video_logits(model(steps, torch.tensor([len(steps)])))[0].softmax(0)


def feed(engine, frames, times, part: int) -> list:
    told = []
    for start in range(0, len(frames), part):
        told += engine.feed(frames[start : start + part], times[start : start + part])
    return told + engine.finish()


# ---------------------------------------------------------------- when


def ticks(times, window: Span, every: Span) -> list[int]:
    """The frames behind which a prediction is due."""
    clock, due = Clock(window, every), []
    for number, time in enumerate(times):
        clock.tick(time)
        if clock.due():
            due.append(number)
    return due


def test_a_prediction_is_due_when_the_window_is_full_and_then_again_and_again():
    times = [i / 25 for i in range(20)]
    assert ticks(times, Span(8, True), Span(4, True)) == [7, 11, 15, 19]
    assert ticks(times, Span(0.32), Span(0.16)) == [7, 11, 15, 19]
    assert ticks(times, Span(0.32), Span(3, True)) == [7, 10, 13, 16, 19]
    assert ticks(times, Span(1, True), Span(1, True)) == [*range(20)]
    assert ticks(times[:7], Span(8, True), Span(4, True)) == []


@pytest.mark.parametrize("rate", [10, 25, 29.97, 30, 59.94])
@pytest.mark.parametrize("rounded", [None, 3])
def test_seconds_are_as_many_frames_everywhere_also_where_times_are_rounded_to_milliseconds(rate, rounded):
    times = [i / rate if rounded is None else round(i / rate, rounded) for i in range(400)]
    clock, held, found = Clock(Span(2), Span(1)), [], set()
    for number, time in enumerate(times):
        clock.tick(time)
        held = [one for one in [*held, number] if not clock.is_past(one, times[one])]
        if clock.due():
            found.add(len(held))
    assert found <= {int(2 * rate), int(2 * rate) + 1} and (rate not in (10, 25, 30) or found == {2 * rate})


def test_a_pause_is_no_frame():
    times = [*range(10), 100, 101, 102]
    assert ticks([t / 10 for t in times], Span(0.5), Span(0.5)) == [4, 9, 10]
    clock = Clock(Span(0.5), Span(0.5))
    for time in (0.0, 39.0, 39.1):  # it begins with a pause
        clock.tick(time)
        assert not clock.is_past(clock.number, time)
    assert clock.is_past(0, 0.0) and not clock.is_past(1, 39.0) and clock.end == 39.2


def test_frames_that_no_window_would_see_are_refused():
    check_spans(Span(8, True), Span(8, True), "--every")
    with pytest.raises(InputError, match=r"--every 9 frames is longer than --window 8 frames"):
        check_spans(Span(8, True), Span(9, True), "--every")


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize(
    "options",
    [
        {"cluster": "slope", "shift": True},
        {"cluster": "cumulative"},
        {"cluster": "even", "modality": "RGBDiff", "shift": True},
        {"cluster": "random", "modality": "DI"},
        {"cluster": "slope", "modality": "RGBDiff", "distance": "cosine", "reduce": "middle"},
        {"cluster": "kmodes"},
        {"cluster": "slope", "cluster_after": "layer1:6,layer2:4", "consensus_type": "identity"},
        {"cluster": "none", "shift": True},
        {"cluster": "none", "modality": "RGBDiff"},
        {"cluster": "none", "shift": True, "shift_direction": "past"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_a_window_has_the_scores_of_a_video_of_its_frames(options):
    model, frames = make_model(**options), make_frames(41)
    sampler = FrameSampler(4, clustering=options["cluster"] != "none")
    engine = WindowEngine(model, sampler, Span(16, True), Span(5, True), chunk=3)
    told = feed(engine, frames, [i / 10 for i in range(41)], 7)
    assert [(one.first, one.last) for one in told] == [(0, 15), (5, 20), (10, 25), (15, 30), (20, 35), (25, 40)]
    for one in told:
        expected = probabilities(model, sampler, frames[one.first : one.last + 1])
        assert one.probabilities.tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert (told[1].start, told[1].end) == pytest.approx((0.5, 2.1))
    begins = [number for _, number in told[0].clusters]
    assert begins == sorted(begins) or options["cluster"] == "kmodes"


@pytest.mark.parametrize("more", [{"stride": 2}, {"cap": 9}])
def test_frames_that_the_model_does_not_see_are_left_out(more):
    model, frames = make_model(cluster="slope"), make_frames(30)
    sampler = FrameSampler(4, clustering=True, **more)
    told = feed(WindowEngine(model, sampler, Span(16, True), Span(3, True), 4), frames, [*range(30)], 30)
    assert [one.first for one in told] == [0, 3, 6, 9, 12, 14]
    for one in told:
        expected = probabilities(model, sampler, frames[one.first : one.last + 1])
        assert one.probabilities.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("modality", ["RGB", "RGBDiff"])
@pytest.mark.parametrize("t", [1, 3, 9])
def test_a_video_shorter_than_the_window_is_one_window(t, modality):
    model, frames, sampler = make_model(modality=modality), make_frames(t), FrameSampler(4, clustering=True)
    (one,) = feed(WindowEngine(model, sampler, Span(16, True), Span(4, True), 4), frames, [*range(t)], 2)
    assert (one.first, one.last) == (0, t - 1)
    assert one.probabilities.tolist() == pytest.approx(probabilities(model, sampler, frames).tolist(), abs=1e-5)


def test_a_window_shorter_than_a_step_of_the_model():
    model, frames, sampler = make_model(modality="RGBDiff"), make_frames(9), FrameSampler(4, clustering=True)
    times = [0.0, 0.3, 0.6, 0.65, 0.7, 0.75, 0.8, 1.0, 1.2]
    told = feed(WindowEngine(model, sampler, Span(0.7), Span(1, True), 4), frames, times, 3)
    assert [(one.first, one.last) for one in told] == [(1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (2, 7), (4, 8)]
    for one in told:
        expected = probabilities(model, sampler, frames[one.first : one.last + 1])
        assert one.probabilities.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


@given(part=st.integers(1, 30), chunk=st.integers(1, 9), every=st.integers(1, 12), seed=st.integers(0, 99))
@settings(max_examples=8)
def test_it_does_not_matter_how_frames_come(part, chunk, every, seed):
    model, frames, times = make_model(modality="RGBDiff", cluster="slope"), make_frames(30, seed), [*range(30)]
    sampler = FrameSampler(4, clustering=True)
    spans = Span(12, True), Span(every, True)
    one = feed(WindowEngine(model, sampler, *spans, chunk), frames, times, part)
    other = feed(WindowEngine(model, sampler, *spans, 5), frames, times, 30)
    assert [told[:4] for told in one] == [told[:4] for told in other]
    assert [told.clusters for told in one] == [told.clusters for told in other]


def test_every_frame_passes_the_stem_once_and_what_is_held_is_bounded():
    model, seen = make_model(cluster="slope", modality="RGBDiff"), []
    stem = model.run_stem
    model.run_stem = lambda steps: seen.append(len(steps)) or stem(steps)
    engine = WindowEngine(model, FrameSampler(4, clustering=True), Span(12, True), Span(2, True), 4)
    for start in range(0, 100, 10):
        engine.feed(make_frames(10), [*range(start, start + 10)])
        assert len(engine.held) == min(12, start + 10)
        assert sum(one.frame is not None for one in engine.held) <= 5 + 3  # what later steps need
    assert sum(seen) == 100 - 5 and max(seen) <= 4


def test_after_a_restart_nothing_of_before_is_left():
    model, frames = make_model(cluster="slope"), make_frames(40)
    engine = WindowEngine(model, FrameSampler(4, clustering=True), Span(12, True), Span(4, True), 4)
    engine.feed(frames[:20], [*range(20)])
    engine.restart()
    told = engine.feed(frames[20:], [*range(20)])
    assert [(one.first, one.last) for one in told] == [(0, 11), (4, 15), (8, 19)]
    expected = probabilities(model, engine.sampler, frames[20:32])
    assert told[0].probabilities.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_spoiled_weights_are_told():
    model = make_model(cluster="slope")
    nn.init.constant_(model.new_fc.weight, float("nan"))
    engine = WindowEngine(model, FrameSampler(4, clustering=True), Span(4, True), Span(4, True), 4)
    with pytest.raises(InputError, match="not finite"):
        engine.feed(make_frames(4), [*range(4)])


# ---------------------------------------------------------------- one frame in, one prediction out


@pytest.mark.parametrize("modality", ["RGB", "RGBDiff"])
@pytest.mark.parametrize("place", ["blockres", "block"])
@pytest.mark.parametrize("part", [1, 4, 20])
def test_online_a_frame_has_the_scores_that_it_has_in_a_video_of_all_frames_so_far(modality, place, part):
    options = {"modality": modality, "cluster": "none", "shift": True, "shift_direction": "past", "shift_place": place}
    frames, stack = make_frames(20), MODALITIES[modality].stack
    whole = make_model(20 - stack + 1, consensus_type="identity", **options)
    steps = torch.stack([frames[i : i + stack].flatten(0, 1) for i in range(20 - stack + 1)])
    with torch.inference_mode():
        expected = whole(steps, torch.tensor([len(steps)]))[0].softmax(1)  # (steps, K); none looks at a later one
    model = make_model(8, **options)
    assert can_go_online(model)
    engine = OnlineEngine(model, Span(1, True), chunk=4)
    for _ in range(2):  # the second time after a restart
        told = feed(engine, frames, [*range(20)], part)
        assert [(one.first, one.last) for one in told] == [(i, i + stack - 1) for i in range(len(steps))]
        assert [one.start for one in told] == [*range(len(steps))]
        found = torch.stack([one.probabilities for one in told])
        assert torch.allclose(found, expected, atol=1e-5)
        engine.restart()


def test_online_every_few_frames_and_at_the_end():
    options = {"cluster": "none", "shift": True, "shift_direction": "past"}
    engine = OnlineEngine(make_model(**options), Span(4, True), chunk=8)
    assert [one.last for one in feed(engine, make_frames(11), [*range(11)], 3)] == [0, 4, 8, 10]
    short = OnlineEngine(make_model(modality="RGBDiff", **options), Span(4, True), chunk=8)
    assert [(one.first, one.last) for one in feed(short, make_frames(3), [*range(3)], 3)] == [(0, 2)]


@pytest.mark.parametrize(
    "options",
    [
        {"cluster": "none", "shift": True},
        {"cluster": "none"},
        {"cluster": "slope", "shift": True, "shift_direction": "past"},
        {"cluster": "none", "shift": True, "shift_direction": "past", "non_local": True},
        {"cluster": "none", "shift": True, "shift_direction": "past", "temporal_pool": True},
        {"cluster": "none", "temporal": "stm"},
    ],
)
def test_models_that_look_ahead_are_not_online(options):
    assert not can_go_online(make_model(**options))
