"""Frame folders: lists line by line, frames of every kind, and crops that depend on (seed, epoch, video) only."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from ops.data.batches import EpochBatches
from ops.data.dataset import VideoDataset, check_clip
from ops.data.decoding import decode
from ops.data.lists import Video, parse_line, read_list
from ops.data.loading import PINNED, READY, collate, largest_batch, make_loader
from ops.data.modality import MODALITIES
from ops.data.sampling import FrameSampler
from ops.data.specs import DATASETS, DatasetSpec
from ops.data.stores import FolderStore
from ops.data.views import eval_transform, train_transform, whole_frames
from ops.data.workers import kill_workers
from ops.errors import InputError

SPEC = DatasetSpec(4, "{:03d}.png", first_frame=1)


def write_video(folder, num_frames, size=(40, 30), mode="RGB", seed=0):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(1, num_frames + 1):
        pixels = rng.integers(0, 256, size[::-1] + (3,) * (mode == "RGB"), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")


@pytest.fixture
def root(tmp_path):
    """Three videos: 5 coloured frames, 3 grey ones, 1 coloured one; and a list of them."""
    write_video(tmp_path / "a", 5, seed=1)
    write_video(tmp_path / "b c" / "d", 3, mode="L", seed=2)
    write_video(tmp_path / "e", 1, size=(36, 64), seed=3)
    (tmp_path / "list.txt").write_text("a 5 0\nb c/d 3 1\ne 1 3\n")
    return tmp_path


def problems(root, text):
    (root / "bad.txt").write_text(text)
    with pytest.raises(InputError) as error:
        read_list(root / "bad.txt", root, SPEC)
    return str(error.value)


# ---------------------------------------------------------------- lists


@pytest.mark.parametrize(
    "line, expected",
    [
        ("a 5 0", Video("a", 5, 0)),
        ("folder with blanks/v 01 12 3", Video("folder with blanks/v 01", 12, 3)),
        ("  a\t5  0 ", Video("a", 5, 0)),
        ("/absolute/path 1 2", Video("/absolute/path", 1, 2)),
    ],
)
def test_lines(line, expected):
    assert parse_line(line, 4) == expected


@pytest.mark.parametrize(
    "line, reason",
    [
        ("a 5", "is not `path num_frames label`"),
        ("a", "is not `path num_frames label`"),
        ("a,5,0", "is not `path num_frames label`"),
        ("a five 0", "number of frames 'five' and label '0' must be whole numbers"),
        ("a 5 0.5", "number of frames '5' and label '0.5' must be whole numbers"),
        ("a 0 0", "number of frames 0 must be at least 1"),
        ("a -3 0", "number of frames -3 must be at least 1"),
        ("a 5 4", "label 4 is out of range, 4 classes have labels 0 to 3"),
        ("a 5 -1", "label -1 is out of range, 4 classes have labels 0 to 3"),
    ],
)
def test_bad_lines(line, reason):
    with pytest.raises(ValueError) as error:
        parse_line(line, 4)
    assert str(error.value) == reason


@pytest.mark.parametrize(
    "text",
    [
        "a 5 0\nb c/d 3 1\ne 1 3\n",
        "a 5 0\r\nb c/d 3 1\r\ne 1 3\r\n",
        "\n\na 5 0\n  \nb c/d 3 1\ne 1 3",
        "\ufeffa 5 0\nb c/d 3 1\ne 1 3",
    ],
)
def test_list(root, text):
    """Other line ends, empty lines and a byte order mark make no difference."""
    (root / "list.txt").write_text(text, encoding="utf-8", newline="")
    assert read_list(root / "list.txt", root, SPEC) == [Video("a", 5, 0), Video("b c/d", 3, 1), Video("e", 1, 3)]


def test_a_list_may_say_fewer_frames_than_there_are(root):
    (root / "list.txt").write_text("a 4 0")
    assert read_list(root / "list.txt", root, SPEC)[0].num_frames == 4


def test_problems_are_named_with_their_line(root):
    text = problems(root, "a 5 0\n\nx/y 2 1\na 6 0\na 5 9\nnonsense\n")
    assert text.startswith(f"{root / 'bad.txt'}: ")
    assert f"line 3: x/y: no folder {root / 'x/y'}" in text
    assert "line 4: a: list says 6 frames, folder holds 5 (no 006.png in" in text
    assert "line 5: 'a 5 9' label 9 is out of range" in text
    assert "line 6: 'nonsense' is not `path num_frames label`" in text
    assert "more" not in text


def test_ten_problems_are_shown_and_all_counted(root):
    text = problems(root, "".join(f"v{i} 5 0\n" for i in range(1, 24)))
    assert [f"line {i}:" in text for i in range(1, 24)] == [True] * 10 + [False] * 13
    assert "; and 13 more" in text
    assert "more" not in problems(root, "".join(f"v{i} 5 0\n" for i in range(10)))


def test_a_path_longer_than_file_systems_allow(root):
    assert "line 1: 'xxx" in problems(root, "x" * 300 + " 5 0\n")


def test_missing_empty_and_binary_lists(root):
    with pytest.raises(InputError, match=r"no list file .*nowhere.txt; make it, or .*--train_list and --val_list"):
        read_list(root / "nowhere.txt", root, SPEC)
    assert "the list is empty" in problems(root, "\n \n")
    (root / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="binary.txt as text"):
        read_list(root / "binary.txt", root, SPEC)
    with pytest.raises(InputError, match="cannot read list file"):
        read_list(root, root, SPEC)


def test_known_datasets():
    assert {name: spec.num_class for name, spec in DATASETS.items()} == {
        "movingmnist": 4,
        "ucf101": 101,
        "hmdb51": 51,
        "breakfast": 10,
        "something": 174,
        "somethingv2": 174,
        "jester": 27,
        "kinetics": 400,
        "egogestar": 10,
    }
    left_and_right = {"movingmnist", "something", "somethingv2", "jester", "egogestar"}
    assert {name for name, spec in DATASETS.items() if not spec.flip} == left_and_right
    assert DATASETS["movingmnist"].image_tmpl.format(DATASETS["movingmnist"].first_frame) == "0.jpg"


# ---------------------------------------------------------------- frames


def test_clip_of_colour_and_of_grey(root):
    colour = FolderStore(root / "a").clip(["001.png", "003.png"])
    assert colour.shape == (2, 3, 30, 40) and colour.dtype == torch.uint8
    with Image.open(root / "a/003.png") as image:
        assert colour[1, 2, 7, 9] == image.getpixel((9, 7))[2]
    assert FolderStore(root / "b c/d").clip(["001.png", "002.png"]).shape == (2, 1, 30, 40)


def test_grey_frames_among_coloured_ones(root):
    (root / "a/004.png").write_bytes((root / "b c/d/001.png").read_bytes())
    clip = FolderStore(root / "a").clip(["003.png", "004.png"])
    grey = FolderStore(root / "b c/d").clip(["001.png"])
    assert clip.shape == (2, 3, 30, 40) and torch.equal(clip[1], grey[0].expand(3, -1, -1))
    assert not torch.equal(clip[0, 0], clip[0, 1])


def test_repeated_frames_are_repeated(root):
    clip = FolderStore(root / "a").clip(["002.png", "002.png", "001.png"])
    assert torch.equal(clip[0], clip[1]) and not torch.equal(clip[0], clip[2])


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "CMYK", "LA"])
def test_other_modes_become_rgb(tmp_path, mode):
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode).save(path)
    _, frame = decode(path.read_bytes(), str(path))
    assert frame.shape == (3, 4, 3) and frame.min() == 255


def test_size_that_changes_inside_a_video(root):
    (root / "a/005.png").write_bytes((root / "e/001.png").read_bytes())
    with pytest.raises(InputError, match=r"/a: 00[12].png is 40x30 but 005.png is 36x64"):
        FolderStore(root / "a").clip(["001.png", "002.png", "005.png"])


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"no image"])
@pytest.mark.parametrize("name", ["x.jpg", "x.png"])
def test_spoiled_frames_are_named(tmp_path, spoil, name):
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    (tmp_path / name).write_bytes(spoil((tmp_path / name).read_bytes()))
    with pytest.raises(InputError, match=f"cannot read frame {tmp_path / name}: "):
        FolderStore(tmp_path).clip([name])


def test_missing_frame_is_named(tmp_path):
    with pytest.raises(InputError, match=f"no frame {tmp_path / '007.png'}"):
        FolderStore(tmp_path).clip(["007.png"])


# ---------------------------------------------------------------- clips


def folders(root, train=True, seed=0, size=24, **sampling):
    transform = partial(train_transform, size=size, flip=True) if train else partial(eval_transform, size=size)
    sampler = FrameSampler(2, sampling.pop("clustering", True), train=train, **sampling)
    videos = read_list(root / "list.txt", root, SPEC)
    return VideoDataset(videos, root, SPEC, MODALITIES["RGB"], sampler, transform, seed)


def test_a_clip_has_its_own_length_label_and_name(root):
    dataset = folders(root)
    assert len(dataset) == 3
    for index, (t, label, name) in enumerate([(5, 0, "a"), (3, 1, "b c/d"), (1, 3, "e")]):
        clip, *facts = dataset[0, index]
        assert clip.shape == (t, 3, 24, 24) and clip.dtype == torch.uint8 and facts == [label, name]


def test_numbers_count_from_the_first_frame(tmp_path):
    """Frame 1 of a data set that counts from 0 is the second one."""
    for i in range(3):
        Image.new("L", (16, 16), 100 * i).save(tmp_path / f"{i}.png")
    for first, expected in ((0, [0, 100]), (1, [100, 200])):
        spec = DatasetSpec(4, "{}.png", first_frame=first)
        dataset = VideoDataset(
            [Video(".", 2, 0)],
            tmp_path,
            spec,
            MODALITIES["RGB"],
            lambda n, epoch, rng: np.arange(n),
            lambda h, w, rng: whole_frames(h, w),
            0,
        )
        assert dataset[0, 0][0][:, 0, 0, 0].tolist() == expected


def test_crops_are_a_function_of_seed_epoch_and_video(root):
    def clip(seed, epoch, index):
        return folders(root, seed=seed)[epoch, index][0]

    first = folders(root)
    seen = {key: first[key][0] for key in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)]}
    for (epoch, index), expected in reversed(seen.items()):
        assert torch.equal(clip(0, epoch, index), expected)
    assert len({clip(0, epoch, 0).float().mean().item() for epoch in range(8)}) > 4
    assert len({clip(seed, 0, 0).float().mean().item() for seed in range(8)}) > 4


def test_videos_draw_their_own_crops(root):
    """The same pictures at another place in the list are cropped in another way."""
    (root / "list.txt").write_text("a 5 0\n" * 8)
    assert len({folders(root)[0, i][0].float().mean().item() for i in range(8)}) > 4


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_crops_do_not_depend_on_workers_or_order(root, workers):
    (root / "list.txt").write_text("a 5 0\nb c/d 3 1\ne 1 3\n" * 2)
    dataset = folders(root, clustering=False)
    for epoch in (0, 3):
        batches = EpochBatches(6, 2, shuffle_seed=5)
        batches.set_epoch(epoch)
        for keys, batch in zip(batches, make_loader(dataset, batches, workers, False), strict=True):
            expected = collate([dataset[key] for key in keys])
            assert torch.equal(batch.frames, expected.frames) and torch.equal(batch.labels, expected.labels)
            assert torch.equal(batch.lengths, expected.lengths) and batch.names == expected.names


def test_kept_workers_see_the_new_epoch(root):
    dataset, batches = folders(root), EpochBatches(3, 3, shuffle_seed=0)
    loader = make_loader(dataset, batches, workers=1, pin_memory=False)
    for epoch in (0, 1, 2):
        batches.set_epoch(epoch)
        (batch,) = loader
        assert torch.equal(batch.frames, collate([dataset[key] for key in next(iter(batches))]).frames)


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_draws_nothing_from_torchs_generator(root, workers):
    """Else dropout would depend on the number of workers."""
    loader = make_loader(folders(root), EpochBatches(3, 2), workers, False)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for _ in range(2):
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "workers, pixels, expected",
    [
        (0, 10**9, None),
        (2, 0, 2),
        (2, READY // (2 * 2 * 8 * 3), 2),
        (2, READY // (2 * 2 * 8 * 3) + 1, 1),
        (2, 10**9, 1),
    ],
)
def test_workers_hold_less_ready_of_large_batches(root, workers, pixels, expected):
    """Two workers, two batches of 5 + 3 frames at most, 3 bytes a pixel."""
    dataset = folders(root)
    assert largest_batch(dataset, EpochBatches(3, 2)) == 8 and dataset.channels == 3
    assert largest_batch(dataset, EpochBatches(3, 2, share=(1, 3))) == 3
    loader = make_loader(dataset, EpochBatches(3, 2), workers, False, pixels)
    assert loader.prefetch_factor == expected and not loader.pin_memory


def test_very_large_batches_are_not_pinned(root):
    pixels = PINNED // (8 * 3)
    for many, expected in ((0, True), (pixels, True), (pixels + 1, False)):
        assert make_loader(folders(root), EpochBatches(3, 2), 0, True, many).pin_memory is expected


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_frames_come_out_of_the_loader(root, workers):
    (root / "e/001.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="e/001.png"):
        list(make_loader(folders(root), EpochBatches(3, 2), workers, False))
    kill_workers()  # as programs do at their end; torch would wait ten seconds for one that ignores its signal


def test_frames_that_decoders_doubt_are_errors_until_they_are_accepted(tmp_path):
    pytest.importorskip("simplejpeg", reason="PIL says nothing of damage that can be shown")
    Image.new("RGB", (32, 24), (10, 20, 30)).save(tmp_path / "1.jpg")
    data = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(data[:-2] + bytes(8) + data[-2:])
    spec = DatasetSpec(2, "{}.jpg")
    words = (MODALITIES["RGB"], lambda n, epoch, rng: np.arange(n), lambda h, w, rng: whole_frames(h, w), 0)
    with pytest.raises(InputError, match="1.jpg is damaged .*--keep_damaged"):
        VideoDataset([Video(".", 1, 0)], tmp_path, spec, *words)[0, 0]
    assert isinstance(VideoDataset([Video(".", 1, 0)], tmp_path, spec, *words, skip_bad=True)[0, 0], InputError)
    kept = VideoDataset([Video(".", 1, 0)], tmp_path, replace(spec, keep_damaged=True), *words)
    assert kept[0, 0][0].shape == (1, 3, 24, 32)


# ---------------------------------------------------------------- batches


def test_collate_packs_without_padding():
    clips = [torch.full((t, 3, 2, 2), value, dtype=torch.uint8) for t, value in ((3, 7), (1, 8), (2, 9))]
    batch = collate([(clips[0], 2, "x"), (clips[1], 0, "y"), (clips[2], 1, "z")])
    assert batch.frames[:, 0, 0, 0].tolist() == [7, 7, 7, 8, 9, 9] and batch.frames.dtype == torch.uint8
    assert batch.lengths.tolist() == [3, 1, 2] and batch.lengths.dtype == torch.int64
    assert batch.labels.tolist() == [2, 0, 1] and batch.names == ["x", "y", "z"]


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, [5, 3, 1]),
        ({"cap": 2}, [2, 2, 1]),
        ({"stride": 2}, [3, 2, 1]),
        ({"clustering": False}, [4, 4, 4]),
        ({"cluster_start_epoch": 2}, [4, 4, 4]),
        ({"cluster_start_epoch": 1}, [5, 3, 1]),
        ({"keep": 0.9, "num_segments": 2}, [4, 3, 1]),
        ({"keep": 0.5, "cluster_start_epoch": 2}, [4, 4, 4]),
    ],
)
def test_frame_counts_are_those_of_the_clips(root, options, expected):
    dataset = folders(root)
    dataset.sampling = FrameSampler(**{"num_segments": 4, "clustering": True, "train": True} | options)
    assert dataset.frame_counts(1).tolist() == expected == [len(dataset[1, i][0]) for i in range(3)]


def test_frame_counts_are_the_most_where_their_number_is_drawn(root):
    dataset = folders(root)
    dataset.sampling = FrameSampler(1, True, train=True, clip_share=0.2, clip_speed=2)
    assert dataset.frame_counts(0).tolist() == [10, 6, 2] and largest_batch(dataset, EpochBatches(3, 2)) == 16
    drawn = {len(dataset[epoch, 0][0]) for epoch in range(50)}
    assert min(drawn) == 1 and 6 < max(drawn) <= 10


def test_only_the_frames_that_are_kept_are_read(root, monkeypatch):
    read, names = FolderStore.read, []
    monkeypatch.setattr(FolderStore, "read", lambda store, name: names.append(name) or read(store, name))
    dataset = folders(root)
    dataset.sampling = FrameSampler(2, True, train=True, keep=0.4)
    assert len(dataset[0, 0][0]) == len(names) == 2 and names == sorted(names)
    names.clear()
    dataset.sampling = FrameSampler(2, True, train=True, clip_speed=4)
    lengths = [len(dataset[epoch, 0][0]) for epoch in range(9)]  # what is repeated is read once
    assert max(lengths) > 5 and len(names) == sum(min(length, 5) for length in lengths)


def test_frame_counts_of_stacked_frames(root):
    dataset = folders(root)
    dataset.modality = MODALITIES["RGBDiff"]
    assert dataset.frame_counts(0).tolist() == [1, 1, 1]


def test_sampling_is_asked_for_the_videos_own_frames(root):
    asked = []

    def first_frame(num_frames, epoch, rng):
        asked.append((num_frames, epoch))
        return np.array([0])

    videos = read_list(root / "list.txt", root, SPEC)
    dataset = VideoDataset(videos, root, SPEC, MODALITIES["RGB"], first_frame, lambda h, w, rng: whole_frames(h, w), 0)
    assert len(dataset[2, 0][0]) == len(dataset[7, 1][0]) == 1
    assert asked == [(5, 2), (3, 7)]


@pytest.mark.parametrize(
    "clip, found",
    [
        (torch.zeros(3, 3, 8, 8), r"torch.float32 \(3, 3, 8, 8\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"torch.uint8 \(2, 3, 8, 8\)"),
        (torch.zeros(3, 8, 8, 3, dtype=torch.uint8), r"torch.uint8 \(3, 8, 8, 3\)"),
        (np.zeros((3, 3, 8, 8), np.uint8), "a ndarray"),
    ],
)
def test_a_store_that_gives_another_thing_is_named_with_the_video(clip, found):
    with pytest.raises(InputError, match=f"a/v: its store gave {found} for 3 frames, not uint8"):
        check_clip(clip, 3, "a/v")
    check_clip(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), 3, "a/v")
