"""One epoch, one evaluation: what is counted, what changes, and what stops them."""

import math

import pytest
import torch
from torch import nn

from ops.data.loading import VideoBatch
from ops.errors import InputError
from ops.models import build_model
from ops.streaming import Streaming
from ops.training.engine import evaluate, train_one_epoch
from ops.training.meters import Meters, Result
from ops.training.optim import build_sgd
from ops.training.stepping import video_losses

CPU = torch.device("cpu")


def thin(**options):
    torch.manual_seed(0)
    model = build_model("resnet_thin", 4, 2, **options)
    nn.init.normal_(model.new_fc.weight)
    return model


def batch(*lengths, seed=0, labels=None):
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (sum(lengths), 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.tensor(labels or [i % 4 for i in range(len(lengths))])
    return VideoBatch(frames, torch.tensor(lengths), labels, [f"video {seed}.{i}" for i in range(len(lengths))])


def weights_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


# ---------------------------------------------------------------- loss


def test_loss_of_videos_and_of_representations():
    scores = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    labels = torch.tensor([1, 0])
    assert video_losses(scores, labels).tolist() == pytest.approx([math.log(4 / 3), math.log(2)])
    each = torch.stack([scores, scores.flip(1)], 1)  # (n, g, K): the second representation errs
    assert video_losses(each, labels).tolist() == pytest.approx([math.log(16 / 3) / 2, math.log(2)])
    assert video_losses(each[:0], labels[:0]).shape == video_losses(scores[:0], labels[:0]).shape == (0,)


# ---------------------------------------------------------------- training


def test_an_epoch_counts_videos_frames_and_steps():
    model, seen = thin(), []
    result = train_one_epoch(
        model,
        [batch(3, 4), batch(5, seed=1)],
        build_sgd(model, 0.001, 0.9, 0),
        CPU,
        on_step=lambda step, meters: seen.append((step, meters.metrics.count)),
    )
    assert (result.videos, result.frames) == (3, 12)
    assert seen == [(1, 2), (2, 3)]
    assert 0 <= result.data_wait <= 1 and result.seconds > 0 and result.grad_norm > 0
    assert result.frames_per_second == pytest.approx(12 / result.seconds)
    assert model.training


def test_the_loss_is_the_mean_over_videos_not_over_batches():
    model = thin(dropout=0.0)
    optimizer = build_sgd(model, 1e-12, 0, 0)
    parts = [batch(3, 3, 3), batch(4, seed=1)]
    losses = [train_one_epoch(model, [part], optimizer, CPU).loss for part in parts]
    whole = train_one_epoch(model, parts, optimizer, CPU).loss
    assert whole == pytest.approx((3 * losses[0] + losses[1]) / 4, rel=1e-4)
    assert abs(losses[0] - losses[1]) > 0.01


def test_training_learns_one_batch():
    model = thin(partial_bn=False, dropout=0.0, shift=True)
    optimizer, data = build_sgd(model, 0.01, 0.9, 0), [batch(3, 4, 5, 2)]
    results = [train_one_epoch(model, data, optimizer, CPU, clip_gradient=5) for _ in range(25)]
    assert results[-1].loss < 0.2 < results[0].loss and results[-1].top1 == 100


def test_clipping_bounds_the_step_and_reports_the_norm_before():
    def step(clip):
        model = thin(dropout=0.0)
        before = weights_of(model)
        optimizer = build_sgd(model, 1.0, 0, 0, boost_classifier=False)
        for group in optimizer.param_groups:
            group["lr_mult"] = group["lr"] = 1.0
        result = train_one_epoch(model, [batch(3, 4)], optimizer, CPU, clip_gradient=clip)
        moved = [(p.detach() - before[name]).norm() for name, p in model.named_parameters()]
        return torch.stack(moved).norm().item(), result.grad_norm

    free, norm = step(None)
    assert free == pytest.approx(norm, rel=1e-3) and norm > 0.2
    bounded, reported = step(0.1)
    assert bounded == pytest.approx(0.1, rel=1e-3) and reported == pytest.approx(norm, rel=1e-5)
    assert step(10 * norm)[0] == pytest.approx(norm, rel=1e-3)


def test_gradients_of_earlier_steps_are_forgotten():
    """Two steps at a vanishing rate have the same gradient."""
    model, norms = thin(dropout=0.0), []
    data, optimizer = [batch(3, 4)] * 2, build_sgd(model, 1e-12, 0, 0)
    train_one_epoch(model, data, optimizer, CPU, on_step=lambda step, m: norms.append(m.grad_norm.total))
    assert norms[1] == pytest.approx(2 * norms[0], rel=1e-3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_before_weights_change(value):
    model = thin()
    model.new_fc.bias.data[1] = value
    before = weights_of(model)
    with pytest.raises(InputError, match=r"the loss is nan at videos video 0.0, video 0.1, .*--lr or set --gd"):
        train_one_epoch(model, [batch(3, 4)], build_sgd(model, 0.1, 0.9, 0), CPU)
    after = weights_of(model)
    assert all(torch.equal(p, before[name]) for name, p in after.items() if name.endswith("conv1.weight"))
    assert torch.equal(after["new_fc.weight"], before["new_fc.weight"])


# ---------------------------------------------------------------- evaluation


def test_evaluation_changes_nothing_and_repeats_itself():
    model = thin(partial_bn=False).train()
    before, data = weights_of(model), [batch(3, 4), batch(5, seed=1)]
    results = [evaluate(model, data, CPU) for _ in range(2)]
    assert same(before, weights_of(model)) and not model.training
    assert results[0].loss == results[1].loss and (results[0].videos, results[0].frames) == (3, 12)
    assert math.isnan(results[0].grad_norm)
    assert not any(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("consensus_type", ["avg", "identity"])
def test_evaluation_by_hand(consensus_type):
    """Labels taken from the model's own scores: 2 of 3 videos right."""
    model = thin(consensus_type=consensus_type).eval()
    data = batch(3, 4, 6)
    with torch.no_grad():
        scores = model(data.frames, data.lengths)
    labels = (scores if scores.ndim == 2 else scores.mean(1)).argmax(1)
    labels[2] = (labels[2] + 1) % 4
    result = evaluate(model, [data._replace(labels=labels)], CPU)
    assert result.top1 == pytest.approx(200 / 3) and result.top5 == 100
    each = scores.view(3, -1, 4).log_softmax(-1)
    expected = -sum(float(each[i, :, labels[i]].mean()) for i in range(3)) / 3
    assert result.loss == pytest.approx(expected, rel=1e-5)


def test_cutting_into_batches_does_not_matter():
    model = thin(shift=True)
    whole = batch(3, 1, 5, 2)
    ends = whole.lengths.cumsum(0).tolist()
    single = [
        VideoBatch(whole.frames[e - n : e], whole.lengths[i : i + 1], whole.labels[i : i + 1], [whole.names[i]])
        for i, (e, n) in enumerate(zip(ends, whole.lengths.tolist(), strict=True))
    ]
    one, four = evaluate(model, [whole], CPU), evaluate(model, single, CPU)
    assert (one.top1, one.top5, one.mean_class_accuracy) == (four.top1, four.top5, four.mean_class_accuracy)
    assert one.loss == pytest.approx(four.loss, rel=1e-5)


def test_frames_per_second_of_no_time():
    assert Result(0, 0, 0, 0, 1, 10, 0.0, 0).frames_per_second > 0


# ---------------------------------------------------------------- copies to a GPU


def test_frames_of_batches_taken_at_once_come_a_batch_ahead(monkeypatch):
    """With a stand-in for the copies; those of batches that pass in chunks are left to the model."""
    moved, asked = [], []

    def in_advance(items, device, copy):
        ready = [copy(item) for item in items]
        asked.append(device)
        yield from ready

    monkeypatch.setattr("ops.training.meters.copied_ahead", in_advance)
    monkeypatch.setattr("ops.training.meters.to_device", lambda tensor, device: moved.append(len(tensor)) or tensor)
    meters = Meters(4)
    for count, _ in enumerate(meters.batches([batch(3), batch(2, 9), batch(5)], CPU, lambda n: n < 9), 1):
        assert meters.seen == count  # however many are ready
    assert asked == [CPU] and moved == [1, 3, 2, 1, 5]  # labels and frames
    moved.clear()
    list(meters.batches([batch(3)], CPU))
    assert moved == [1]


@pytest.mark.parametrize("above, expected", [(2, [False, True]), (100, [True, True])])
def test_the_model_says_what_it_takes_at_once(above, expected):
    model = thin(cluster="slope", freeze_stem_bn=True)
    model.streaming = Streaming(2, above)
    assert [model.takes_at_once(9), model.takes_at_once(2)] == expected
    model.streaming = None
    assert model.takes_at_once(9) and thin(cluster="none").takes_at_once(9)


def test_pinned_batches_of_pytorch_2_6():
    """It makes lists of tuples."""
    spoiled = batch(3)._replace(skipped=["why"])
    meters = Meters(4)
    for _ in meters.batches([spoiled, spoiled], CPU):
        meters.exchange()
    assert meters.skipped == ("why", "why")
