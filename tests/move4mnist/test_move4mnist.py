"""The generator of Move4MNIST: what its videos show, what it writes, and that no single frame gives the class away."""

import gzip
import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from videos import write_video

from ops.errors import InputError
from ops.move4mnist.generator import (
    CLASSES,
    MIDDLE_X,
    MIDDLE_Y,
    PRESETS,
    Kind,
    draw_path,
    expose,
    facts_of,
    make_dataset,
    make_video,
    plan_video,
)
from ops.move4mnist.sources import BAR, DIGIT, SCENE, SIZE, WHITEST, draw_glyph, draw_scene, find_backgrounds
from tools import make_move4mnist

ROOT = Path(__file__).resolve().parents[2]
SHORT = replace(PRESETS["standard"], num_frames=8, main=(3, 4), distractor=(1, 1))


def rng_of(*key):
    return np.random.default_rng(key)


@pytest.fixture
def black(tmp_path):
    """A folder of one black picture."""
    (tmp_path / "black").mkdir()
    Image.new("L", (80, 60)).save(tmp_path / "black/0.png")
    return tmp_path / "black"


def read_video(folder):
    """Frames of one folder (t, 64, 64) as float, in order."""
    return np.stack([np.asarray(Image.open(folder / f"{i}.jpg"), float) for i in range(len(list(folder.iterdir())))])


def centroids(frames):
    """Middles (n, 2) of the bright pixels of `frames` (n, h, w), as x, y."""
    y, x = np.mgrid[: frames.shape[1], : frames.shape[2]] + 0.5
    weight = np.where(frames > 32, frames, 0)
    return np.stack([(weight * x).sum((1, 2)), (weight * y).sum((1, 2))], 1) / weight.sum((1, 2))[:, None]


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def runs_of(kinds):
    """Runs of equal values in `kinds` (t,): their values, their lengths."""
    starts = np.flatnonzero(np.diff(kinds, prepend=-1))
    return kinds[starts], np.diff(starts, append=len(kinds))


# ---------------------------------------------------------------- what is written


def test_layout_from_the_command_line(run_process, tmp_path):
    out, sheet = tmp_path / "a folder" / "movingmnist", tmp_path / "new" / "sheet.png"
    command = f"--num_train 6 --num_val 4 --num_frames 40 --empty_run 2-4 --digits glyphs --sheet {sheet} -j 2".split()
    done = run_process("--out", out, *command, program="tools/make_move4mnist.py")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{out}: 6 train and 4 val videos of 40 frames, digits: glyphs\n"
    assert (out / "category.txt").read_text() == "left\nright\nup\ndown\n"
    train = ["left_0 40 0", "right_0 40 1", "up_0 40 2", "down_0 40 3", "left_1 40 0", "right_1 40 1"]
    assert (out / "train_videofolder.txt").read_text().splitlines() == [f"train/{line}" for line in train]
    assert (out / "val_videofolder.txt").read_text().splitlines() == [f"val/{line}" for line in train[:4]]
    assert sorted(path.name for path in (out / "train").iterdir()) == sorted(line.split()[0] for line in train)
    assert {path.name for path in (out / "val/up_0").iterdir()} == {f"{i}.jpg" for i in range(40)}
    for path in (out / "val").rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "L", (64, 64))
    with Image.open(sheet) as image:
        assert image.size[0] >= 16 * SIZE and image.size[1] >= 8 * SIZE
        assert len(np.unique(np.asarray(image))) > 50
    assert json.loads((out / "move4mnist.json").read_text())["digits"] == "glyphs"
    assert {path.name for path in out.parent.iterdir()} == {"movingmnist"}


def test_few_videos_and_their_sheet(tmp_path):
    make_move4mnist.main(
        [
            "--out",
            str(tmp_path / "d"),
            "--num_train",
            "2",
            "--num_val",
            "0",
            "--digits",
            "glyphs",
            "--sheet",
            str(tmp_path / "s.png"),
        ]
    )
    assert (tmp_path / "d/val_videofolder.txt").read_text() == ""
    with Image.open(tmp_path / "s.png") as image:
        assert image.size[1] < 6 * SIZE


def test_same_seed_same_bytes_whatever_the_workers(tmp_path):
    for name, num_train, seed, workers in (("a", 20, 3, 1), ("b", 20, 3, 3), ("c", 20, 4, 2), ("more", 24, 3, 2)):
        make_dataset(tmp_path / name, SHORT, num_train, 4, seed, workers, "glyphs")
    a, b, c, more = (content(tmp_path / name) for name in ("a", "b", "c", "more"))
    assert a == b and a.keys() == c.keys()
    jpegs = [name for name in a if name.endswith(".jpg")]
    assert len({a[name] for name in jpegs} & {c[name] for name in jpegs}) == 1  # the black frame
    assert all(a[name] == more[name] for name in jpegs)  # more videos leave the first ones as they are


def test_works_with_spawned_workers(tmp_path):
    code = (
        "import multiprocessing, sys\nfrom ops.move4mnist.generator import *\n"
        "multiprocessing.set_start_method('spawn')\n"
        "print(make_dataset(sys.argv[1], PRESETS['standard'], 4, 0, 0, 2, 'glyphs').num_train)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "d"], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("4\n", "")


def test_interrupted_leaves_nothing_and_leftovers_are_cleaned(tmp_path):
    def stop(iterable, total):
        for i, item in enumerate(iterable):
            if i == 3:
                raise KeyboardInterrupt
            yield item

    for workers in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            make_dataset(tmp_path / "d", SHORT, 40, 0, 0, workers, "glyphs", progress=stop)
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "d.partial/train/left_0").mkdir(parents=True)
    (tmp_path / "d.partial/old.txt").write_text("killed")
    (tmp_path / "d").mkdir()  # an empty folder is no obstacle
    make_dataset(tmp_path / "d", SHORT, 4, 0, 0, 1, "glyphs")
    assert [path.name for path in tmp_path.iterdir()] == ["d"] and not (tmp_path / "d/old.txt").exists()


# ---------------------------------------------------------------- what the videos show


@pytest.mark.parametrize("preset", ["standard", "easy", "long"])
def test_frames_are_counted_and_placed_as_configured(preset):
    config, black, runs, late, alone = PRESETS[preset], 0, 0, 0, 0
    for index in range(100):
        kinds = plan_video(config, index % 4, rng_of(index)).kinds
        main, distractor = kinds == Kind.MAIN, kinds == Kind.DISTRACTOR
        assert len(kinds) == config.num_frames
        assert config.main[0] <= main.sum() <= config.main[1]
        assert config.distractor[0] <= distractor.sum() <= config.distractor[1]
        late += distractor[config.num_frames // 2 :].sum()
        values, lengths = runs_of(kinds)  # a run is black, or background, from end to end: else it would be split here
        empty, lengths = values[values >= Kind.BACKGROUND], lengths[values >= Kind.BACKGROUND]
        assert (lengths < min(config.empty_run)).sum() <= 1  # the last drawn may be cut short; others may have met
        alone += np.isin(lengths, config.empty_run).sum()
        black, runs = black + (empty == Kind.BLACK).sum(), runs + len(empty)
    assert late == 0
    assert black / runs == pytest.approx(config.p_black, abs=0.06)
    if preset == "long":
        assert 5 <= len(lengths) <= 14
    assert alone / runs > 0.6


@pytest.mark.parametrize("speed", [0.5, 2])
def test_pixels_move_in_the_class_direction_at_the_speed(tmp_path, black, speed):
    """Measured from the JPEG files alone, on black backgrounds and without distractors."""
    config = replace(PRESETS["easy"], speed=speed)
    make_dataset(tmp_path / "d", config, 12, 0, 1, 1, "glyphs", black)
    steps = {name: [] for name in CLASSES}
    for line in (tmp_path / "d/train_videofolder.txt").read_text().splitlines():
        path, num_frames, label = line.split()
        frames = read_video(tmp_path / "d" / path)
        frames = frames[frames.max((1, 2)) > 128]
        assert len(frames) < int(num_frames)
        moves = np.diff(centroids(frames), axis=0)  # hidden frames fall out: no jump where the digit was hidden
        steps[list(CLASSES)[int(label)]].append(moves)
        assert np.abs(moves - moves.mean(0)).max() < 0.3
    for name, direction in CLASSES.items():
        assert np.concatenate(steps[name]).mean(0) == pytest.approx(np.array(direction) * speed, abs=0.03)


def test_pixels_agree_with_the_facts():
    def dark(times, rng):
        return np.zeros((len(times), SCENE, SIZE), np.float32)

    for label in range(4):
        frames, facts = make_video(PRESETS["standard"], label, rng_of(label), draw_glyph, dark)
        assert frames.dtype == np.uint8 and frames.shape == (32, SIZE, SIZE)
        main, distractor = facts.kinds == Kind.MAIN, facts.kinds == Kind.DISTRACTOR
        assert (np.isfinite(facts.centres[:, 0]) == main).all()
        assert np.abs(centroids(frames[main].astype(float)) - facts.centres[main]).max() < 5  # box against mass
        still = frames[distractor]
        assert still.max() > 240 and (still == still[0]).all()
        assert facts.digit != facts.distractor_digit
        assert frames[~main & ~distractor].max() == 0
        mass = frames[main].astype(float).sum((1, 2))
        assert np.ptp(mass) < 0.01 * mass.mean()  # no part of the digit ever leaves the picture


def dot(digit, rng):
    """A digit of 2 x 2 pixels, half of it as dark as the backgrounds below."""
    return np.array([[1, 0.2], [1, 0.2]], np.float32)


@pytest.mark.parametrize("label", range(4))
def test_published_digits_stand_at_whole_pixels_and_hide_only_what_is_darker(label):
    """As in the published example: half a pixel a frame is one pixel in every second frame that shows the digit."""

    def grey(times, rng):
        return np.full((len(times), SCENE, SIZE), 100, np.float32)

    frames, facts = make_video(PRESETS["standard"], label, rng_of(label), dot, grey)
    places = []
    for frame in frames[facts.kinds == Kind.MAIN]:
        y, x = np.nonzero(frame == 255)
        assert len(x) == 2 and x[0] == x[1] and y[1] == y[0] + 1
        assert frame[BAR:-BAR].min() == 100  # 0.2 * 255 is darker than the background
        places.append((x[0], y[0]))
    steps = np.diff(places, axis=0) @ list(CLASSES.values())[label]
    assert np.isin(steps, (0, 1)).all() and (steps[1:] != steps[:-1]).all()
    assert np.abs(np.diff(places, axis=0)).sum() == steps.sum()  # and across its direction it does not move
    (y, _), (x, _) = np.nonzero(frames[facts.kinds == Kind.DISTRACTOR][0] == 255)
    assert (x, y) in places


def test_the_look_is_an_option_of_every_preset(tmp_path, black):
    options = ["--num_train", "4", "--num_val", "0", "--digits", "glyphs", "-j", "1", "--backgrounds", str(black)]
    for name, words in (
        ("a", ["--preset", "medium"]),
        ("b", ["--preset", "medium", "--look", "published"]),
        ("c", ["--look", "smooth"]),
    ):
        make_move4mnist.main(["--out", str(tmp_path / name), *options, *words])
    looks = [json.loads((tmp_path / name / "move4mnist.json").read_text())["config"]["look"] for name in "abc"]
    assert looks == ["smooth", "published", "smooth"]
    assert content(tmp_path / "a/train") != content(tmp_path / "b/train")


def test_backgrounds_are_slow_grey_and_framed_by_bars():
    frames, facts = make_video(PRESETS["standard"], 0, rng_of(0), draw_glyph, draw_scene)
    shown = frames[facts.kinds == Kind.BACKGROUND].astype(float)
    assert shown[:, :BAR].max() == shown[:, -BAR:].max() == 0
    scenes = np.stack([draw_scene(np.arange(64), rng_of(index)) for index in range(10)])
    assert scenes.shape == (10, 64, SCENE, SIZE) and 50 < scenes.mean() < 170 and scenes.std((1, 2, 3)).min() > 15
    moves = np.abs(np.diff(scenes, axis=1)).mean((1, 2, 3))  # grey levels; 1.3-4.4 in the published example
    assert 1.5 < moves.mean() < 2 and moves.min() > 1 and moves.max() < 4
    assert frames[facts.kinds == Kind.BLACK].max() == 0


def test_in_a_still_background_only_the_grain_changes():
    config = replace(PRESETS["long"], still_background=True)
    frames, facts = make_video(config, 0, rng_of(0), draw_glyph, draw_scene)
    shown = frames[facts.kinds == Kind.BACKGROUND].astype(float)
    assert 0.8 < shown.std(0)[BAR:-BAR].mean() < 1.2  # the grain's spread is 1, plus rounding


def naive_path(config, label, steps, rng):
    """Centres (steps, 2) that start at a uniform place in the middle of the picture: what must not be done."""
    start = rng.uniform([box[0] for box in (MIDDLE_X, MIDDLE_Y)], [box[1] for box in (MIDDLE_X, MIDDLE_Y)])
    path = start + np.arange(steps)[:, None] * np.array(list(CLASSES.values())[label]) * config.speed
    return np.clip(path, DIGIT / 2, SIZE - DIGIT / 2)


def guess_from_one_position(config, draw, videos=1500):
    """Accuracy on fresh videos of the likeliest class for each 4x4 pixel bin of a single main digit's position."""
    bins = np.zeros((2, 4, 12, 12))  # train/test, class, x, y
    for part in range(2):
        for label in range(4):
            rng = rng_of(part, label)
            paths = [draw(config, label, rng.integers(config.main[0], config.main[1] + 1), rng) for _ in range(videos)]
            assert min(map(np.min, paths)) >= DIGIT / 2 and max(map(np.max, paths)) <= SIZE - DIGIT / 2
            x, y = ((np.concatenate(paths) - 8) / 4).astype(int).T
            np.add.at(bins[part, label], (x, y), 1)
    bins /= bins.sum((2, 3), keepdims=True)
    train, test = bins
    return np.take_along_axis(test, train.argmax(0)[None], 0).sum() / 4


@pytest.mark.parametrize("preset", ["standard", "easy"])
def test_one_position_says_nothing_about_the_class(preset):
    assert guess_from_one_position(PRESETS[preset], draw_path) < 0.27
    assert guess_from_one_position(PRESETS[preset], naive_path, videos=500) > 0.35


def test_one_position_of_the_distractor_says_nothing_about_the_class():
    def stand(config, label, steps, rng):
        return plan_video(config, label, rng).distractor_centre[None]

    def start(config, label, steps, rng):
        return draw_path(config, label, steps, rng)[:1]

    assert guess_from_one_position(PRESETS["standard"], stand, videos=500) < 0.28
    assert guess_from_one_position(PRESETS["standard"], start, videos=500) > 0.33


# ---------------------------------------------------------------- digits and backgrounds of the user


def test_glyphs_of_train_and_val_are_disjoint_and_digit_sized():
    banks = [
        {draw_glyph(index % 10, rng_of(0, split, index % 4, index)).tobytes() for index in range(100)}
        for split in range(2)
    ]
    assert len(banks[0]) == len(banks[1]) == 100 and not banks[0] & banks[1]
    for digit in range(10):
        glyph = draw_glyph(digit, rng_of(digit))
        assert glyph.min() >= 0 and 0.9 < glyph.max() <= 1
        assert 0.85 * DIGIT <= max(glyph.shape) <= DIGIT


def write_mnist(root, ending=""):
    """MNIST's four files below `root`, with a flat square as every digit: 4 px wide in train, 8 px in t10k."""
    (root / "MNIST/raw").mkdir(parents=True)
    for part, width in (("train", 4), ("t10k", 8)):
        images = np.zeros((20, 28, 28), np.uint8)
        images[:, 4:24, 6 : 6 + width] = 255
        for name, array in (("images-idx3", images), ("labels-idx1", np.arange(20, dtype=np.uint8) % 10)):
            header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
            content = header + array.tobytes()
            file = root / f"MNIST/raw/{part}-{name}-ubyte{ending}"
            file.write_bytes(gzip.compress(content) if ending else content)


def check_mnist_widths(folder):
    for split, width in (("train", 4), ("val", 8)):
        frames = read_video(folder / split / "up_0")
        mass = frames[frames.max((1, 2)) > 128].sum((1, 2)) / 255
        assert mass == pytest.approx(np.full(len(mass), 20 * width), rel=0.1)


def test_mnist_beside_out_is_used_its_test_part_for_val(tmp_path, black):
    write_mnist(tmp_path)
    done = make_dataset(tmp_path / "d", SHORT, 4, 4, 0, 1, "auto", black)
    assert (done.digits, done.reason) == ("mnist", None)
    check_mnist_widths(tmp_path / "d")


def test_mnist_elsewhere_needs_neither_network_nor_unpacking(tmp_path, black, run_process):
    write_mnist(tmp_path / "kept", ".gz")
    before = content(tmp_path / "kept")
    words = f"--out d --num_train 4 --num_val 4 --mnist kept --backgrounds {black} -j 1".split()
    done = run_process(*words, program="tools/make_move4mnist.py")
    assert (done.code, done.err) == (0, "")
    assert done.out == "d: 4 train and 4 val videos of 32 frames, digits: mnist\n"
    check_mnist_widths(tmp_path / "d")
    assert content(tmp_path / "kept") == before


@pytest.mark.parametrize("spoiled", [b"", b"\0" * 500, b"no file of MNIST at all"])
def test_a_broken_mnist_is_told_and_not_replaced(spoiled, tmp_path):
    write_mnist(tmp_path)
    file = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(spoiled)
    with pytest.raises(InputError, match="neither from .*MNIST/raw nor by download: .*put it there"):
        make_dataset(tmp_path / "d", SHORT, 4, 0, 0, 1, mnist=tmp_path)
    assert file.read_bytes() == spoiled


def test_without_mnist_auto_falls_back_and_says_so(tmp_path, monkeypatch, capfd):
    import torchvision

    def offline(root, train=True, download=False):
        print("Downloading" if download else "", end="")
        raise RuntimeError("Tried a, got:\n<urlopen error no way out>\n")

    offline.mirrors = ["https://localhost/"]
    monkeypatch.setattr(torchvision.datasets, "MNIST", offline)
    monkeypatch.setenv("https_proxy", "http://localhost:9")
    arguments = ["--out", str(tmp_path / "d"), "--num_train", "4", "--num_val", "0", "-j", "1"]
    with pytest.raises(InputError, match="no way out.*glyphs"):
        make_move4mnist.main([*arguments, "--digits", "mnist"])
    assert list(tmp_path.iterdir()) == []
    capfd.readouterr()
    make_move4mnist.main(arguments)
    out, err = capfd.readouterr()
    assert "no way out" in out and "digits: glyphs" in out and out.count("\n") == 1


def test_backgrounds_from_a_folder(tmp_path):
    (tmp_path / "in/deep").mkdir(parents=True)
    for i in range(4):
        noise = rng_of(i).integers(100, 120, (90, 70, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / ("in" if i else "in/deep") / f"p{i}.png")
    (tmp_path / "in/notes.txt").write_text("no picture")
    found = find_backgrounds(tmp_path / "in", 0, tmp_path / "unused")
    train, val = (found[split].keywords["paths"] for split in ("train", "val"))
    assert len(train) == 3 and len(val) == 1 and not set(train) & set(val)
    frames = found["train"](np.arange(40), rng_of(0))
    assert frames.shape == (40, SCENE, SIZE) and frames.min() > 80 and frames.max() < 105
    assert 0 < np.abs(np.diff(frames, axis=0)).mean() < 4  # it moves, slowly

    done = make_dataset(tmp_path / "d", SHORT, 4, 0, 0, 1, "glyphs", tmp_path / "in")
    assert str(done).endswith("\nleft out: 1 of the backgrounds' files, no pictures or videos by their names")
    middle = np.median(read_video(tmp_path / "d/train/left_0")[:, BAR:-BAR], axis=(1, 2))
    assert (np.isin(middle, range(80, 106)) | (middle == 0)).all() and (middle > 0).any()

    for path in train:
        path.write_bytes(b"broken")
    with pytest.raises(InputError, match=r"p\d.png: cannot be read"):
        make_dataset(tmp_path / "e", SHORT, 40, 8, 0, 2, "glyphs", tmp_path / "in")
    assert not list(tmp_path.glob("e*"))


def test_hidden_backgrounds_are_left_alone_and_deep_ones_refused(tmp_path):
    for name in ("a.png", ".b.png", ".cache/c.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((90, 70), 30_000, np.uint16)).save(tmp_path / "in" / name)
    found = find_backgrounds(tmp_path / "in", 0, tmp_path / "unused")
    assert found["train"].keywords["paths"] == found["val"].keywords["paths"] == [tmp_path / "in/a.png"]
    with pytest.raises(InputError, match="a.png: has over 8 bits per value; scale it to 0 to 255, or remove it"):
        found["train"](np.arange(4), rng_of(0))


def test_brightness_bends_the_greys_of_a_background(tmp_path):
    """A picture of one grey gets the mean that is drawn; black and the brightest stay in another."""
    (tmp_path / "grey").mkdir()
    Image.new("L", (80, 60), 60).save(tmp_path / "grey/0.png")
    words = f"--out {tmp_path / 'd'} --num_train 8 --num_val 0 --digits glyphs --backgrounds {tmp_path / 'grey'} -j 1"
    make_move4mnist.main([*words.split(), "--brightness", "150-180"])
    means = set()
    for path in (tmp_path / "d/train").iterdir():
        scenes = np.median(read_video(path)[:, BAR:-BAR], axis=(1, 2))
        (mean,) = set(scenes[scenes > 0])
        assert 150 <= mean <= 180
        means.add(mean)
    assert len(means) > 4
    assert facts_of(tmp_path / "d", "train/left_0").kinds.shape == (32,)
    scenes = np.full((2, 3, 4), 50, np.float32)
    scenes[0, 0], scenes[1, 1] = 0, WHITEST
    expose(scenes, 150)
    assert scenes[0, 0].max() == 0 and scenes[1, 1].min() == WHITEST and scenes[0, 1, 0] > 120


# ---------------------------------------------------------------- videos as backgrounds


def write_counting(path, num_frames, size="64x48"):
    """A video whose frame i is grey of level 20 + 3i, within a level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = map(int, size.split("x"))
    frames = np.stack([np.full((height, width), 20 + 3 * i, np.uint8) for i in range(num_frames)])
    pix_fmt = "gray" if path.suffix == ".gif" else "yuv420p"
    write_video(path, [av.VideoFrame.from_ndarray(frame, "gray") for frame in frames], pix_fmt=pix_fmt)


def numbers(clip):
    """The numbers of the frames (n, SCENE, SIZE) of such a video."""
    return np.rint((clip.mean((1, 2)) / (WHITEST / 255) - 20) / 3).astype(int)


@pytest.mark.parametrize("name", ["a.mp4", "b.AVI", "c.webm", "d.mkv", "e.mov", "f.mpg", "g.m4v", "h.gif"])
def test_a_clip_takes_frames_of_a_video_that_follow_each_other(name, tmp_path):
    write_counting(tmp_path / "in" / name, 60)
    found = find_backgrounds(tmp_path / "in", 0, tmp_path / "store")
    starts = set()
    for seed in range(6):
        clip = found["train"](np.arange(8), rng_of(seed))
        assert clip.shape == (8, SCENE, SIZE) and clip.dtype == np.float32 and clip.max() <= WHITEST
        shown = numbers(clip)
        assert (np.diff(shown) == 1).all() and 0 <= shown[0] <= 52
        starts.add(int(shown[0]))
        assert (clip == found["train"](np.arange(8), rng_of(seed))).all()
    assert len(starts) > 2


def test_a_short_video_runs_to_and_fro_and_a_still_one_stands(tmp_path):
    write_counting(tmp_path / "in/short.mkv", 5)
    show = find_backgrounds(tmp_path / "in", 0, tmp_path / "store")["val"]
    way = [0, 1, 2, 3, 4, 3, 2, 1] * 4
    for seed in range(4):
        shown = numbers(show(np.arange(20), rng_of(seed))).tolist()
        assert shown in [way[start : start + 20] for start in range(5)]
    assert len(set(numbers(show(np.zeros(20), rng_of(3))))) == 1
    write_counting(tmp_path / "one/frame.mkv", 1)
    show = find_backgrounds(tmp_path / "one", 0, tmp_path / "store")["val"]
    assert numbers(show(np.arange(3), rng_of(0))).tolist() == [0, 0, 0]


def test_pictures_and_videos_of_any_shape_stand_in_one_folder(tmp_path, run_program):
    """Train and val share no file, whatever the workers the bytes are the same, and only the data set is left."""
    for i, size in enumerate(["160x90", "48x100", "320x240"]):
        write_counting(tmp_path / f"in/deep/{i}.mp4", 40, size)
    Image.fromarray(rng_of(0).integers(100, 120, (90, 70), np.uint8)).save(tmp_path / "in/p.png")
    (tmp_path / "in/notes.txt").write_text("neither")
    found = find_backgrounds(tmp_path / "in", 0, tmp_path / "unused")
    train, val = (found[split].keywords["paths"] for split in ("train", "val"))
    assert sorted([*train, *val]) == sorted(path for path in (tmp_path / "in").rglob("*.[mp][pn][4g]"))
    assert len(val) == 1 and not (tmp_path / "unused").exists()
    for name, workers in (("d", 1), ("e", 2)):
        words = f"--out {name} --num_train 12 --num_val 4 --digits glyphs --backgrounds in -j {workers}".split()
        done = run_program("tools/make_move4mnist.py", *words)
        assert (done.code, done.err) == (0, "")
        assert done.out.endswith("\nleft out: 1 of the backgrounds' files, no pictures or videos by their names\n")
    assert content(tmp_path / "d") == content(tmp_path / "e")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "d", "e"}
    assert {path.name for path in (tmp_path / "d").iterdir()} == {
        "train",
        "val",
        "train_videofolder.txt",
        "val_videofolder.txt",
        "category.txt",
        "move4mnist.json",
    }


@pytest.mark.parametrize("keep", [0, 0.8])
def test_a_video_that_cannot_be_read_ends_in_one_line(keep, tmp_path, run_program):
    video = tmp_path / "in/v.mp4"
    write_counting(video, 50, "320x240")
    whole = video.read_bytes()
    video.write_bytes(whole[: int(keep * len(whole))])
    words = f"--out d --num_train 4 --num_val 0 --digits glyphs --backgrounds {video.parent.name} -j 1".split()
    done = run_program("tools/make_move4mnist.py", *words)
    assert done.code == 2 and done.out == ""
    assert done.err.startswith("error: in/v.mp4 cannot be decoded: ") and done.err.count("\n") == 1
    assert done.err.endswith("; mend or remove it\n")
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


# ---------------------------------------------------------------- bad values

BAD = {
    "--num_train -1": "num_train -1",
    "--num_train 0 --num_val 0": "nothing to make",
    "--seed -5": "seed -5",
    "-j 0": "workers 0",
    "--p_black 1.5": "p_black 1.5",
    "--speed nan": "speed nan",
    "--speed 3": "travels 51 pixels",
    "--main 18-14": "main 18-14",
    "--main 1": "main 1-1",
    "--main many": "'many'",
    "--distractor -3": "'-3'",
    "--main 26-30": "more than num_frames 32",
    "--empty_run 0-2": "empty_run 0/1/2",
    "--empty_run 3-1": "3-1",
    "--backgrounds nowhere": "nowhere",
    "--backgrounds bare": "holds no pictures (.jpg .jpeg .png .bmp .webp .ppm .pgm .tif .tiff) and no videos (.mp4 ",
    "--mnist bare": "mnist bare and digits glyphs do not go together",
    "--look odd": "odd",
    "--brightness 0-90": "brightness 0-90",
    "--brightness 90-223": "must be a rising range from 1 to 222",
    "--sheet sheet.txt": "sheet.txt",
    "--out full": "full: exists already; remove it",
    "--preset hard": "hard",
    "--out file": "file: exists already",
    "--out .": "a folder of its own",
    "--num 3": "--num",
}


@pytest.mark.parametrize("options", BAD)
def test_bad_values_end_in_one_line_and_write_nothing(options, tmp_path, monkeypatch, capsys):
    for folder in ("bare", "full"):
        (tmp_path / folder).mkdir()
    for file in ("full/mine.txt", "file"):
        (tmp_path / file).write_text("mine")
    before = content(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["make_move4mnist.py", "--out", "d", "--digits", "glyphs", *options.split()])
    with pytest.raises(SystemExit) as end:
        make_move4mnist.cli.run(make_move4mnist.main)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and BAD[options] in err
    assert content(tmp_path) == before and {path.name for path in tmp_path.iterdir()} == {"bare", "full", "file"}


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as end:
        make_move4mnist.main(["--help"])
    assert end.value.code == 0 and "python tools/make_move4mnist.py --out" in capsys.readouterr().out


# ---------------------------------------------------------------- what is known of a video


def test_facts_planned_again_agree_with_the_pixels(black, tmp_path):
    """Over a black background nothing but digits is bright."""
    make_dataset(tmp_path / "d", SHORT, 8, 4, 5, 1, "glyphs", black)
    for path in [f"{split}/{name}_0" for split in ("train", "val") for name in CLASSES] + ["train/down_1"]:
        frames, facts = read_video(tmp_path / "d" / path), facts_of(tmp_path / "d", path)
        seen = np.isin(facts.kinds, (Kind.MAIN, Kind.DISTRACTOR))
        assert ((frames.max((1, 2)) > 128) == seen).all()
        centres = np.where((facts.kinds == Kind.MAIN)[:, None], facts.centres, facts.distractor_centre)
        assert np.abs(centroids(frames[seen]) - centres[seen]).max() < 3.5  # a glyph's weight is not its middle
        moves = np.diff(facts.centres[facts.kinds == Kind.MAIN], axis=0)
        assert moves == pytest.approx(np.tile(CLASSES[path[path.index("/") + 1 : -2]], (len(moves), 1)) * SHORT.speed)


def test_facts_tell_black_frames_from_empty_ones(tiny_data):
    for name in CLASSES:
        kinds = facts_of(tiny_data, f"val/{name}_0").kinds
        assert ((read_video(tiny_data / f"val/{name}_0").max((1, 2)) < 8) == (kinds == Kind.BLACK)).all()


def test_nothing_is_known_of_other_videos(tiny_data, tmp_path):
    for folder, path in (
        (tmp_path, "val/left_0"),
        (tiny_data, "left_0"),
        (tiny_data, "test/left_0"),
        (tiny_data, "val/v_0"),
        (tiny_data, "val/left_x"),
        (tiny_data, "val/left"),
    ):
        assert facts_of(folder, path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"config": {}}',
        '{"config": {"main": 3}, "seed": 0}',
        "\0",
        '{"config": {"size": 3}, "seed": 0}',
        '{"config": {"speed": -1}, "seed": 0}',
        '{"config": {}, "seed": -1}',
        '{"config": {}, "seed": "x"}',
    ],
)
def test_a_spoiled_description_is_named(text, tmp_path):
    (tmp_path / "move4mnist.json").write_text(text)
    with pytest.raises(InputError, match="move4mnist.json does not say how"):
        facts_of(tmp_path, "val/left_0")
