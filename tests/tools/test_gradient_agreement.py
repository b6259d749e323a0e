"""`tools/gradient_agreement.py` and its room: angles found by hand, what the premise promises and what it does not."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ops.clustering import frame_distances
from ops.errors import InputError
from ops.evaluation.gradient_agreement import (
    Pair,
    agreements,
    angle,
    draw_pairs,
    frame_gradients,
    pairs_file,
    pearson,
    ranks,
    read_pairs,
    spread,
    stem_weights,
    upstream_gradients,
    video_pairs,
)
from ops.models import build_model
from ops.options.config import Config, plain
from ops.training import checkpoint as ckpt
from ops.training.stepping import video_losses

PROGRAM = "tools/gradient_agreement.py"
MODEL = {"arch": "resnet_thin", "input_size": 16, "num_segments": 4, "cluster": "slope"}


def layers(*weights: list[list[float]]) -> nn.Sequential:
    """A bias-free ReLU net of given weights, float64."""
    net = []
    for weight in weights:
        weight = torch.tensor(weight, dtype=torch.float64)
        net += [nn.Linear(*weight.T.shape, bias=False), nn.ReLU()]
        net[-2].weight = nn.Parameter(weight)
    return nn.Sequential(*net)


def angles(stem: nn.Module, frames: list[Tensor], upstream: Tensor) -> tuple[float, float]:
    """Between the gradients of two frames (1, ...): of weights, of frames."""
    a, b = (frame_gradients(stem, [*stem.parameters()], frame, upstream) for frame in frames)
    return angle(a.weights, b.weights), angle(a.frame, b.frame)


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


# ---------------------------------------------------------------- what is certain


def test_a_layer_by_hand():
    """Units 1 and 2 are active for (1, 2), all three for (2, 1). Of v = (3, 4, 12) come back d = (3, 4, 0) and
    (3, 4, 12): frames get (3, 4) and (15, -8), cosine 13/85; weights d x, cosine 25/(5*13) * 4/5 = 4/13."""
    net = layers([[1, 0], [0, 1], [1, -1]])
    of_weights, of_frames = angles(net, [row(1, 2), row(2, 1)], row(3, 4, 12))
    assert of_weights == pytest.approx(math.degrees(math.acos(4 / 13)))
    assert of_frames == pytest.approx(math.degrees(math.acos(13 / 85)))


def test_one_pattern_at_the_end_does_not_make_gradients_agree():
    """|x| from two ReLUs: 1 and -1 end in the same activation and go there by different units."""
    net = layers([[1], [-1]], [[1, 1]])
    assert net(row(1)) == net(row(-1)) == 1
    assert angles(net, [row(1), row(-1)], row(1)) == pytest.approx((90, 180))


@given(st.integers(0, 10**6))
def test_under_one_pattern_weights_differ_as_the_inputs_do(seed):
    """In one layer; its pattern is that of the first frame, to which the second moves until it has it, too."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU()).double()
    first, second = torch.randn(2, 1, 5, dtype=torch.float64)
    first = first * net[0](first).max().sign().item()  # at least one unit is active
    while not torch.equal(net(first) > 0, net(second) > 0):
        second = (first + second) / 2
    of_weights, of_frames = angles(net, [first, second], torch.randn(1, 4, dtype=torch.float64))
    assert of_frames == pytest.approx(0, abs=1e-5)
    assert of_weights == pytest.approx(angle(first[0], second[0]), abs=1e-5)


@pytest.mark.parametrize("factor", [0.01, 3, 100])
def test_a_scaled_frame_in_the_untrained_stem(factor):
    """BatchNorms that have seen nothing pass what they get: the real stem is then a bias-free ReLU net, so that the
    gradients of frames are equal, those of filters in proportion to the frame. Those of biases, whose input is always
    1, do not grow along: all weights together agree less."""
    model = thin_model().double()
    torch.manual_seed(1)
    frame, v = torch.randn(1, 3, 16, 16).double(), torch.randn(1, 12, 4, 4).double()

    def scaled(weights):
        return [frame_gradients(model.run_stem, weights, x, v) for x in (frame, factor * frame)]

    a, b = scaled([weight for weight in stem_weights(model) if weight.ndim == 4])
    assert frame_distances(torch.cat([a.activation, b.activation]), torch.tensor([2]))[1] == 0
    torch.testing.assert_close(b.frame, a.frame)
    torch.testing.assert_close(b.weights, factor * a.weights)
    a, b = scaled(stem_weights(model))
    assert angle(a.weights, b.weights) > 1


def thin_model(seed=0):
    torch.manual_seed(seed)
    config = Config("mini", "RGB", **MODEL)
    return build_model(num_class=4, **config.model_options).eval()


# ---------------------------------------------------------------- a video


@pytest.fixture(scope="module")
def model():
    model = thin_model()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):  # as after training
            nn.init.uniform_(part.running_mean, -0.5, 0.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return model


@pytest.fixture(scope="module")
def steps():
    generator = torch.Generator().manual_seed(1)
    steps = torch.randint(256, (9, 3, 16, 16), generator=generator, dtype=torch.uint8)
    steps[3] = steps[2]
    steps[5], steps[6] = 10, 61  # grey, 51 levels apart
    return steps


def test_the_gradients_of_frames_add_up_to_that_of_training(model, steps):
    weights, lengths = stem_weights(model), torch.tensor([len(steps)])
    loss = video_losses(model(steps, lengths), torch.tensor([2])).sum()
    wanted = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, weights)]).double()
    upstream, assignment = upstream_gradients(model, steps, 2, "v")
    size = Counter(assignment)
    found = sum(
        frame_gradients(model.run_stem, weights, model.to_input(frame[None]), upstream[k, None]).weights / size[k]
        for frame, k in zip(steps, assignment, strict=True)
    )
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_pairs_of_a_video(model, steps):
    pairs = video_pairs(model, steps, 2, "v", 100, np.random.default_rng(0))
    assert [(pair.i, pair.j) for pair in pairs if pair.kind == "neighbour"] == [(i, i + 1) for i in range(8)]
    assert [(pair.i, pair.j) for pair in pairs if pair.kind == "random"] == [
        (i, j) for i in range(9) for j in range(i + 1, 9)
    ]
    same = [pair for pair in pairs if (pair.i, pair.j) == (2, 3)]
    assert [pair[4:] for pair in same] == [(0, 0, 0, 0, 0)] * 2
    (grey, _) = [pair for pair in pairs if (pair.i, pair.j) == (5, 6)]
    assert grey.pixel_distance == pytest.approx(0.2)
    others = [pair for pair in pairs if pair not in same]
    assert all(min(pair[4:]) > 0 and pair.hamming < 1 and max(pair[7:]) <= 180 for pair in others)
    activations = model.run_stem(steps).detach()
    hamming = frame_distances(activations, torch.tensor([9]))[1:].tolist()
    assert [pair.hamming for pair in pairs[:8]] == pytest.approx(hamming)
    cosine = torch.cosine_similarity(activations[0].flatten(), activations[1].flatten(), dim=0)
    assert pairs[0].activation_distance == pytest.approx(1 - cosine.item(), abs=1e-5)
    assert video_pairs(model, steps[:1], 2, "v", 100, np.random.default_rng(0)) == []


def test_a_stem_that_gives_nothing_has_no_angle(steps):
    model = thin_model()
    nn.init.zeros_(model.base_model.conv1.weight)
    (pair, _) = video_pairs(model, steps[:2], 0, "v", 1, np.random.default_rng(0))
    assert pair.hamming == 0 and pair.pixel_distance > 0
    assert all(map(math.isnan, pair[6:]))


# ---------------------------------------------------------------- numbers


def test_angles():
    a = row(3, 4, 0)
    assert angle(a, a) == 0 and angle(a, -a) == 180 and angle(a, row(0, 0, 1e-40)) == pytest.approx(90)
    assert angle(a, a + row(0, 0, 5e-8)) == pytest.approx(math.degrees(1e-8))  # the arc cosine finds 0
    assert math.isnan(angle(a, 0 * a))


@given(st.integers(2, 60), st.integers(1, 80), st.integers(0, 99))
def test_any_pairs(num_frames, number, seed):
    pairs = draw_pairs(num_frames, number, np.random.default_rng(seed))
    assert len({*pairs}) == len(pairs) and all(0 <= i < j < num_frames for _, i, j in pairs)
    assert all(j == i + 1 for kind, i, j in pairs if kind == "neighbour")
    every = num_frames * (num_frames - 1) // 2
    assert Counter(kind for kind, *_ in pairs) == {
        "neighbour": min(number, num_frames - 1),
        "random": min(number, every),
    }


def test_videos_of_all_classes():
    labels = [0] * 5 + [1] + [2] * 5
    for seed in range(5):
        places = spread(labels, 5, np.random.default_rng(seed))
        assert len({*places}) == 5 and Counter(labels[place] for place in places) == {0: 2, 1: 1, 2: 2}
    assert sorted(spread(labels, 99, np.random.default_rng(0))) == [*range(11)]


def test_correlations():
    x = np.array([3.0, 1, 1, 20])
    assert ranks(x).tolist() == [3, 1.5, 1.5, 4]
    assert pearson(x, 5 - 2 * x) == pytest.approx(-1) and math.isnan(pearson(x, np.ones(4)))
    assert pearson(x, np.array([1.0, 0, 2, 3])) == pytest.approx(np.corrcoef(x, [1, 0, 2, 3])[0, 1])


PAIRS = [
    Pair("a, b", 0, 1, "neighbour", 0.1, 0.5, 0.1, 10.0, 40.0),
    Pair("c", 1, 2, "neighbour", 0.2, 0.5, 0.2, 20.0, 30.0),
    Pair("c", 2, 3, "neighbour", 0.9, 0.5, 0.3, 30.0, 20.0),
    Pair("c", 0, 3, "random", 0.3, 0.1, math.nan, 9.0, 9.0),
]


def test_agreement_of_distances_and_angles():
    found = {row[:3]: row[3:] for row in agreements(PAIRS)}
    assert len(found) == 3 * 3 * 2
    assert found["neighbour", "activation_distance", "angle_degrees"] == pytest.approx((3, 1, 1))
    assert found["neighbour", "activation_distance", "input_angle_degrees"] == pytest.approx((3, -1, -1))
    assert found["neighbour", "hamming", "angle_degrees"] == pytest.approx((3, 0.8 / math.sqrt(0.76), 1))
    assert found["neighbour", "pixel_distance", "angle_degrees"] == pytest.approx((3, math.nan, math.nan), nan_ok=True)
    assert found["all", "activation_distance", "angle_degrees"] == pytest.approx((3, 1, 1))
    assert found["all", "pixel_distance", "angle_degrees"][0] == 4
    assert found["random", "activation_distance", "angle_degrees"][0] == 0
    assert len(agreements([])) == 18


def test_files_are_read_as_written(tmp_path):
    (tmp_path / "pairs.csv").write_bytes(pairs_file(PAIRS))
    assert (tmp_path / "pairs.csv").read_text().splitlines()[:2] == [
        "video,i,j,kind,hamming,pixel_distance,activation_distance,angle_degrees,input_angle_degrees",
        '"a, b",0,1,neighbour,0.1,0.5,0.1,10,40',
    ]
    read = read_pairs(tmp_path / "pairs.csv")
    assert read[:3] == PAIRS[:3] and math.isnan(read[3].activation_distance)
    for name, text in (("other.csv", "x,y\n1,2\n"), ("short.csv", ",".join(Pair._fields) + "\nv,1,2\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=f"{name} is not a table of tools/gradient_agreement.py"):
            read_pairs(tmp_path / name)
    with pytest.raises(InputError, match="nowhere.csv"):
        read_pairs(tmp_path / "nowhere.csv")


# ---------------------------------------------------------------- the program


@pytest.fixture
def weights(tmp_path):
    config = Config("movingmnist", "RGB", **MODEL)
    content = {"epoch": 0, "state_dict": thin_model().state_dict(), "config": plain(config)}
    ckpt.save_checkpoint(tmp_path / "good.pth", content)
    return tmp_path / "good.pth"


def test_the_program(run_program, tiny_data, weights, tmp_path):
    def run(name, *words):
        ran = run_program(
            PROGRAM,
            "movingmnist",
            "--root_path",
            tiny_data,
            "--weights",
            weights,
            "--device",
            "cpu",
            "--num_videos",
            3,
            "--num_pairs",
            5,
            "--csv",
            name,
            *words,
        )
        assert (ran.code, ran.err) == (0, "")
        return ran.out.splitlines(), (tmp_path / name).read_bytes()

    lines, first = run("a.csv")
    pairs = read_pairs(tmp_path / "a.csv")
    assert len({pair.video for pair in pairs}) == 3 and Counter(pair.kind for pair in pairs) == {
        "neighbour": 15,
        "random": 15,
    }
    assert lines[0] == "30 pairs of frames of 3 videos, written to a.csv"
    assert lines[2].split() == ["pairs", "distance"] + ["number", "Pearson", "Spearman"] * 2
    best = agreements(pairs)[12]
    assert lines[9].split()[:5] == ["all", "hamming", "30", f"{best.pearson:.3f}", f"{best.spearman:.3f}"]
    assert len(lines) == 12

    assert run("again.csv")[1] == first
    assert run("modality.csv", "RGB")[1] == first
    run("seed.csv", "--seed", 1), run("untrained.csv", "--untrained", "--seed", 1)
    other, untrained = read_pairs(tmp_path / "seed.csv"), read_pairs(tmp_path / "untrained.csv")
    assert [pair[:4] for pair in pairs] != [pair[:4] for pair in other] == [pair[:4] for pair in untrained]
    assert [pair.pixel_distance for pair in other] == [pair.pixel_distance for pair in untrained]
    assert [pair.hamming for pair in other] != [pair.hamming for pair in untrained]
    assert run("same weights.csv", "--untrained")[1] == first  # `weights` come from the same seed


def test_videos_of_one_frame(run_program, own_data, weights, tmp_path):
    lines = (own_data / "val_videofolder.txt").read_text().splitlines()
    (own_data / "val_videofolder.txt").write_text("\n".join(f"{line.split()[0]} 1 0" for line in lines))
    ran = run_program(PROGRAM, "movingmnist", "--root_path", own_data, "--weights", weights, "--csv", "x.csv")
    assert "none of the 4 videos has two frames" in ran.error and not (tmp_path / "x.csv").exists()


def test_frames_are_normalised_on_the_models_device(monkeypatch):
    """On the device `meta`, which holds no values: up to the gradients of the first frame."""
    model = build_model("resnet_thin", 4, 2, cluster="slope").eval().to("meta")
    seen = []

    def look(stem, weights, frame, upstream):
        seen.append(frame.device.type)
        raise KeyError

    module = "ops.evaluation.gradient_agreement"
    monkeypatch.setattr(f"{module}.upstream_gradients", lambda *_: (torch.zeros(2, 12, 8, 8, device="meta"), [0, 0, 1]))
    monkeypatch.setattr(f"{module}.frame_gradients", look)
    steps = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(KeyError):
        video_pairs(model, steps, 0, "a", 4, np.random.default_rng(0))
    assert seen == ["meta"]
