"""The parsers that read what strangers wrote, fed with thousands of random files: a result, or one kind of error."""

import io
import random
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ops.data.lists import Video, parse_line, read_list
from ops.data.specs import DatasetSpec
from ops.errors import InputError
from ops.models import build_model
from ops.training.checkpoint import load_checkpoint, load_weights

SPEC = DatasetSpec(3, "{}.jpg")
MANY = settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = st.sampled_from(
    [
        "a",
        "b c",
        "..",
        "../a",
        "/",
        ".",
        "3",
        "-1",
        "0",
        "2",
        "99",
        "1e3",
        "\x00",
        "\u2028",
        "\ud800",
        "٣",
        "1_0",
        "+2",
        "nan",
        "\t",
        " ",
        "",
        "\x1b[2J",
        "é",
    ]
)


def is_sound(video: Video) -> bool:
    return bool(video.path.strip()) and video.num_frames >= 1 and 0 <= video.label < SPEC.num_class


@settings(MANY, max_examples=500)
@given(st.text() | st.lists(WORDS | st.integers().map(str)).map(" ".join))
@example("a " + "9" * 5000 + " 0")
def test_any_line(line):
    try:
        assert is_sound(parse_line(line, SPEC.num_class))
    except ValueError as error:
        assert str(error)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A dataset of two videos of two frames."""
    folder = tmp_path_factory.mktemp("fuzz")
    for name in ("a", "b c"):
        (folder / name).mkdir()
        for i in (1, 2):
            (folder / name / f"{i}.jpg").touch()
    return folder


SOUND = b"a 2 0\nb c 1 2\n/a 1 1\n\r\na\t2\t1\n"


def spoil(data: bytes, seed: int) -> bytes:
    """Flips bits, cuts, repeats and moves pieces."""
    rng, data = random.Random(seed), bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        i, j = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        way = rng.randrange(5)
        if way == 0:
            del data[i:]
        elif way == 1:
            data[i:j] = b""
        elif way == 2:
            data[j:j] = data[i : min(j, i + 1000)]
        elif way == 3:
            data[i:i] = rng.randbytes(rng.randrange(9))
        for _ in range(rng.randrange(4) if data else 0):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


LINES = st.lists(st.tuples(st.sampled_from(["a", "b c", "d", ".."]), st.integers(-1, 3), st.integers(-1, 3)))


@MANY
@given(
    st.binary()
    | st.text().map(lambda text: text.encode(errors="surrogatepass"))
    | st.integers(0, 10**9).map(lambda seed: spoil(SOUND, seed))
    | LINES.map(lambda lines: "\n".join(f"{path} {count} {label}" for path, count, label in lines).encode())
)
def test_any_list(root, content):
    path = root / "list.txt"
    path.write_bytes(content)
    try:
        videos = read_list(path, root, SPEC)
    except InputError as error:
        assert str(path) in str(error) and len(str(error)) < 20_000
    else:
        assert videos and all(
            is_sound(video) and (root / video.path / f"{video.num_frames}.jpg").is_file() for video in videos
        )


# ---------------------------------------------------------------- checkpoints


def file_of(content: object, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


SMALL = {
    "epoch": 1,
    "config": {"arch": "resnet18", "lr_steps": [1.0, 2.0], "gd": None},
    "best_prec1": 12.5,
    "state_dict": {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)},
}
FILES = [file_of(SMALL), file_of(SMALL, legacy=True), file_of({"module.w": torch.ones(2)}, legacy=True)]


def check_loading(path: Path, content: bytes) -> None:
    """Load a file of these bytes: what comes back can be used, or an InputError names the file."""
    path.write_bytes(content)
    try:
        found = load_checkpoint(path)
    except InputError as error:
        assert str(path) in str(error) and len(str(error)) < 1000
        return
    assert found["state_dict"] and found.get("epoch", 0) >= 0 and isinstance(found.get("config") or {}, dict)
    for key, value in found["state_dict"].items():
        assert isinstance(key, str) and value.numel() * value.element_size() < 2**30


@settings(MANY, max_examples=500)
@given(st.binary(max_size=3000), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"\x1f\x8b", b"}"]))
def test_any_bytes_as_checkpoint(tmp_path, content, start):
    check_loading(tmp_path / "x.pth", start + content)


@settings(MANY, max_examples=2000)
@given(st.sampled_from(FILES), st.integers(0, 10**9))
def test_any_spoiled_checkpoint(tmp_path, whole, seed):
    check_loading(tmp_path / "x.pth", spoil(whole, seed))


@pytest.mark.parametrize("whole", FILES, ids=["zip", "legacy", "bare"])
def test_a_checkpoint_cut_anywhere(tmp_path, whole):
    for length in range(0, len(whole) - 1, 7):
        check_loading(tmp_path / "x.pth", whole[:length])


@pytest.fixture(scope="module")
def model():
    return build_model("resnet_thin", 3, 2)


SHAPES = st.lists(st.integers(0, 4), max_size=5)
TENSORS = st.builds(torch.ones, SHAPES, dtype=st.sampled_from([torch.float32, torch.int64, torch.bool, torch.float16]))


@settings(MANY, max_examples=300)
@given(st.data(), st.booleans())
def test_any_weights(model, data, tune):
    """Weights of any shape and type, some of them the model's own, are all loaded or refused."""
    own = model.state_dict()
    keys = data.draw(st.sets(st.sampled_from(sorted(own)), max_size=3))
    weights = own | {key: data.draw(TENSORS) for key in keys}
    before = {key: value.clone() for key, value in own.items()}
    try:
        load_weights(model, weights, "x.pth", tune)
    except InputError as error:
        assert "x.pth" in str(error)
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
