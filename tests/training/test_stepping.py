"""Steps: accumulation, mixed precision, compiled networks, and gradients that are not finite."""

import math
import shutil

import pytest
import torch
from torch import nn

from ops.data.loading import VideoBatch
from ops.errors import InputError
from ops.models import build_model
from ops.streaming import Streaming
from ops.training.compiling import compile_network
from ops.training.engine import evaluate, train_one_epoch
from ops.training.optim import build_sgd
from ops.training.stepping import Stepping, choose_amp, make_stepping

CPU = torch.device("cpu")


def thin(**options):
    torch.manual_seed(0)
    model = build_model("resnet_thin", 4, 2, **{"dropout": 0.0, "freeze_stem_bn": True} | options)
    nn.init.normal_(model.new_fc.weight, 0, 0.1)
    return model


def batch(*lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (sum(lengths), 3, 32, 32), dtype=torch.uint8, generator=generator)
    names = [f"video {seed}.{i}" for i in range(len(lengths))]
    return VideoBatch(frames, torch.tensor(lengths), torch.tensor([i % 4 for i in range(len(lengths))]), names)


def joined(*batches):
    frames, lengths, labels, names, _ = zip(*batches, strict=True)
    return VideoBatch(torch.cat(frames), torch.cat(lengths), torch.cat(labels), sum(names, []))


NOTHING = VideoBatch(torch.empty(0), torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64), [], ("bad",))


def trained(model, batches, stepping=None, **options):
    optimizer = build_sgd(model, 0.05, 0.9, 5e-4)
    result = train_one_epoch(model, batches, optimizer, CPU, **options, **{"stepping": stepping} if stepping else {})
    return result, torch.cat([value.double().flatten() for value in model.state_dict().values()])


# ---------------------------------------------------------------- accumulation


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize(
    "parts, together",
    [
        ([[0, 1], [2], [3]], [[0, 1, 2], [3]]),  # K = 2; the epoch ends in the middle of a step
        ([[0], [1], [2, 3], [0, 2]], [[0, 1], [2, 3, 0, 2]]),
        ([[0, 1], [], [2, 3]], [[0, 1], [2, 3]]),  # a batch of which no video could be read
        ([[], [], [2, 3]], [[2, 3]]),  # a step without any: not even the momentum moves
    ],
)
def test_accumulating_equals_the_larger_batch(parts, together, clip):
    videos = [batch(t, seed=t) for t in (3, 5, 2, 4)]
    small = [joined(*[videos[i] for i in part]) if part else NOTHING for part in parts]
    large = [joined(*[videos[i] for i in part]) for part in together]
    results, weights = zip(
        *(
            trained(thin(), batches, Stepping(accum=accum), clip_gradient=clip)
            for batches, accum in ((small, 2), (large, 1))
        ),
        strict=True,
    )
    assert float((weights[0] - weights[1]).abs().max()) < 1e-6
    assert results[0].loss == pytest.approx(results[1].loss, rel=1e-5)
    assert results[0].grad_norm == pytest.approx(results[1].grad_norm, rel=1e-4)
    assert (results[0].videos, results[0].frames) == (results[1].videos, results[1].frames)
    assert len(results[0].skipped) == parts.count([])


def test_steps_are_reported_when_the_weights_have_moved():
    seen = []
    trained(
        thin(),
        [batch(2)] * 5,
        Stepping(accum=2),
        on_step=lambda step, meters: seen.append((step, meters.metrics.count)),
    )
    assert seen == [(2, 2), (4, 4), (5, 5)]


# ---------------------------------------------------------------- not finite


def spoiled(model, at):
    """The scores of the `at`-th forward pass are not numbers."""
    calls = iter(range(1000))
    return model.new_fc.register_forward_hook(lambda module, args, out: out * math.nan if next(calls) == at else out)


def test_a_step_that_is_not_finite_is_left_out():
    """As if its batch had not been there, running statistics included."""
    batches = [batch(3, 4, seed=i) for i in range(3)]
    model = thin(partial_bn=False, freeze_stem_bn=False)
    spoiled(model, at=1)
    result, weights = trained(model, batches, Stepping(skip_nonfinite=True))
    expected, without = trained(thin(partial_bn=False, freeze_stem_bn=False), [batches[0], batches[2]])
    assert torch.equal(weights, without)
    assert result.nonfinite_steps == 1 and (result.loss, result.videos) == (expected.loss, expected.videos)
    assert result.grad_norm == expected.grad_norm


def test_what_is_not_finite_is_named():
    model = thin()
    spoiled(model, at=1)
    before = model.new_fc.weight.clone()
    with pytest.raises(
        InputError,
        match=r"the loss is nan at videos video 1.0, video 1.1, step 2 of epoch 7, lr 0.05; "
        r"lower --lr or set --gd, or leave .* --skip_nonfinite",
    ):
        trained(model, [batch(3, 4, seed=i) for i in range(3)], key=(0, 7))
    assert not torch.equal(model.new_fc.weight, before)  # the first step was good


def test_a_gradient_that_is_not_finite_stops_though_the_loss_is():
    model = thin()
    model.new_fc.weight.register_hook(lambda grad: grad * math.inf)
    before = model.base_model.conv1.weight.clone()
    with pytest.raises(InputError, match=r"the gradient's norm is (nan|inf) at videos video 0.0, video 0.1, step 1,"):
        trained(model, [batch(3, 4)])
    assert torch.equal(model.base_model.conv1.weight, before)
    result, _ = trained(model, [batch(3, 4)], Stepping(skip_nonfinite=True))
    assert result.nonfinite_steps == 1 and torch.equal(model.base_model.conv1.weight, before)
    assert result.videos == 2 and math.isnan(result.grad_norm)


def test_evaluation_with_spoiled_weights():
    model = thin()
    model.new_fc.bias.data[0] = math.nan
    with pytest.raises(InputError, match="scores of video 0.0, video 0.1, ... are not finite"):
        evaluate(model, [batch(3, 4)], CPU)


# ---------------------------------------------------------------- precision


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
@pytest.mark.parametrize("streaming", [None, Streaming(2)])
def test_mixed_precision_steps_are_nearly_those_of_full_precision(amp, streaming):
    weights, norms = [], []
    for wish in ("off", amp):
        model = thin()
        model.streaming, seen = streaming, []
        model.base_model.layer1.register_forward_hook(lambda module, args, out, seen=seen: seen.append(out.dtype))
        stepping = make_stepping(model, CPU, wish)
        if wish == "fp16":  # a factor at which nothing overflows
            stepping.scaler.load_state_dict(stepping.scaler.state_dict() | {"scale": 64.0})
        result, after = trained(model, [batch(3, 4, seed=i) for i in range(2)], stepping)
        assert set(seen) == {choose_amp(wish, CPU) or torch.float32}  # in the backward pass, too
        weights.append(after)
        norms.append(result.grad_norm)
    start = torch.cat([value.double().flatten() for value in thin().state_dict().values()])
    assert norms[1] == pytest.approx(norms[0], rel=0.05)
    assert float((weights[1] - weights[0]).norm()) < 0.1 * float((weights[0] - start).norm())


def test_an_overflow_in_float16_lowers_the_factor_and_moves_nothing():
    model, stepping = thin(), make_stepping(thin(), CPU, "fp16")
    model.new_fc.weight.register_hook(lambda grad: grad * 2.0**100)  # times the factor: beyond float32
    stepping.scaler.load_state_dict(stepping.scaler.state_dict() | {"scale": 2.0**30})
    start = model.new_fc.weight.clone()
    result, _ = trained(model, [batch(3, 4)], stepping)
    assert result.nonfinite_steps == 1 and stepping.scaler.get_scale() == 2.0**29
    assert torch.equal(model.new_fc.weight, start)


def test_evaluation_is_in_full_precision_whatever_training_is():
    model, data = thin(), [batch(3, 4)]
    assert evaluate(model, data, CPU).loss == evaluate(thin(), data, CPU).loss
    assert choose_amp(None, CPU) is None and choose_amp("off", CPU) is None


def test_precisions_a_device_does_not_have(monkeypatch):
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda device: False)
    with pytest.raises(InputError, match="--amp bf16: this PyTorch has no mixed precision on cpu; use --amp off"):
        choose_amp("bf16", CPU)


# ---------------------------------------------------------------- compiled networks


def test_compiled_networks_train_alike_keep_their_names_and_take_any_length():
    """With a backend that traces but writes no program."""
    batches = [batch(3, 4), batch(12, 20, 6, seed=1)]
    plain, compiled = thin(shift=True), thin(shift=True)
    plain.streaming = compiled.streaming = Streaming(3)
    compile_network(compiled, CPU, "eager")
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    (result, weights), (expected, others) = trained(compiled, batches), trained(plain, batches)
    assert float((weights - others).abs().max()) < 1e-6 and result.loss == pytest.approx(expected.loss)
    with torch.compiler.set_stance("fail_on_recompile"):
        trained(compiled, [batch(13, 9, 4), NOTHING, batch(5, 3)])
    torch.compiler.reset()


@pytest.mark.parametrize("options", [{"temporal": "stm"}, {"shift": True, "shift_direction": "past"}], ids=str)
def test_what_mixes_time_compiles(options):
    model, x = thin(**options).eval(), torch.randn(4, 12, 4, 4)
    expected = model.classify(x, 2)
    compile_network(model, CPU, "eager")
    torch.testing.assert_close(model.classify(x, 2), expected)
    torch.compiler.reset()


def test_no_compiler(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("CXX", "my-c++")
    with pytest.raises(InputError, match="--compile needs a C.. compiler, and there is no my-c..; install"):
        compile_network(thin(), CPU)


def test_a_compiler_that_fails(monkeypatch):
    def broken(function, backend):
        raise RuntimeError("no\nheaders")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(InputError, match=r"--compile does not work here \(no headers\); leave it out"):
        compile_network(thin(), CPU)
