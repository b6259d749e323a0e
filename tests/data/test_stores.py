"""Folders, zips and raw packs of frames: the same clips from each, and named errors from all."""

import shutil
import struct
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from ops.data.batches import EpochBatches
from ops.data.dataset import VideoDataset
from ops.data.lists import Video, find_problem, read_list
from ops.data.loading import make_loader
from ops.data.modality import MODALITIES
from ops.data.specs import TRAIN_LIST, VAL_LIST, DatasetSpec
from ops.data.stores import STORES, FolderStore, RawStore, Store, ZipStore, open_store
from ops.data.stores.pictures import frame_files
from ops.data.views import Box, View, eval_transform, train_transform, whole_frames
from ops.errors import InputError
from tools import check_dataset
from tools.pack_frames import write_raw, write_zip

SPEC = DatasetSpec(2, "{}.jpg", first_frame=1)
NAMES = [f"{i}.jpg" for i in range(1, 13)]


@pytest.fixture(params=["L", "RGB"])
def video(request, tmp_path):
    """A folder of 12 grey or coloured JPEGs of 60 x 44 pixels, with a zip and a raw pack of it elsewhere."""
    folder = tmp_path / "folders" / "v.1"
    folder.mkdir(parents=True)
    y, x = np.mgrid[:44, :60]
    for i, name in enumerate(NAMES):
        picture = np.stack([128 + 100 * np.sin((x + 3 * i + c) / 9) * np.cos(y / (5 + c)) for c in range(3)], 2)
        Image.fromarray(picture.astype(np.uint8)).convert(request.param).save(folder / name)
    for kind in ("zips", "raws"):
        (tmp_path / kind).mkdir()
    write_zip(folder, tmp_path / "zips" / "v.1.zip")
    write_raw(folder, tmp_path / "raws" / "v.1.npy", SPEC)
    return folder


def zip_of(video, path, **options):
    with zipfile.ZipFile(path, "w", **options) as pack:
        for name in NAMES:
            pack.write(video / name, name)
    return path


# ---------------------------------------------------------------- which one is read


def test_a_folder_wins_over_a_zip_and_a_zip_over_raw(video):
    top = video.parent
    pack, raw = zip_of(video, top / "v.1.zip"), top / "v.1.npy"
    write_raw(video, raw, SPEC)
    assert type(open_store(video)) is FolderStore
    assert type(open_store(pack)) is ZipStore and type(open_store(raw)) is RawStore
    video.rename(top / "w")
    assert type(open_store(video)) is ZipStore
    pack.unlink()
    assert type(open_store(video)) is RawStore
    raw.unlink()
    assert open_store(video).problem(SPEC, 3) == (
        f"no folder {video}, nor v.1.zip or v.1.npy or v.1.features.npy, nor a video file of that name"
    )


def test_lists_may_name_packs_with_or_without_their_ending(video, tmp_path):
    top = tmp_path.resolve()
    for text in ("folders/v.1 12 1", "zips/v.1 12 1", "zips/v.1.zip 12 1", "raws/v.1 12 1", "raws/v.1.npy 12 1"):
        (top / "list.txt").write_text(text)
        assert len(read_list(top / "list.txt", top, SPEC)) == 1


# ---------------------------------------------------------------- the same clips


@pytest.mark.parametrize("frames", [range(12), [3], [11, 0, 5], [2, 4, 6]])
def test_all_three_give_the_same_clip(video, tmp_path, frames):
    view = partial(train_transform, size=24, flip=True)
    clips = []
    for kind in ("folders", "zips", "raws"):
        source = open_store(tmp_path / kind / "v.1")
        clips.append(source.load(SPEC, frames, partial(view, rng=np.random.default_rng(3))))
    assert torch.equal(clips[0], clips[1]) and torch.equal(clips[0], clips[2])
    assert clips[0].shape[2:] == (24, 24) and clips[0].shape[0] == len(frames)


@pytest.mark.parametrize("workers", [0, 2])
def test_all_three_give_the_same_batches(video, tmp_path, workers):
    batches = []
    for kind in ("folders", "zips", "raws"):
        dataset = VideoDataset(
            [Video("v.1", 12, 0)] * 4,
            tmp_path / kind,
            SPEC,
            MODALITIES["RGB"],
            lambda n, epoch, rng: np.arange(n),
            partial(train_transform, size=24, flip=True),
            0,
        )
        batches.append(torch.cat([batch.frames for batch in make_loader(dataset, EpochBatches(4, 2), workers, False)]))
    assert batches[0].shape == (48, 3, 24, 24)
    assert torch.equal(batches[0], batches[1]) and torch.equal(batches[0], batches[2])


def test_a_clip_is_the_crop_of_the_whole_frames(video):
    whole = FolderStore(video).clip(NAMES)
    view = eval_transform(44, 60, None, 24)
    assert not view.halved
    assert torch.equal(FolderStore(video).clip(NAMES, lambda height, width: view), view(whole))


def test_half_size_is_close_to_the_whole_way(video):
    whole = FolderStore(video).clip(NAMES)
    view = eval_transform(44, 60, None, 16)  # 38 pixels -> 16
    assert view.halved is False  # an odd corner
    view = View(Box(2, 4, 40, 48), partial(eval_transform(40, 48, None, 16).finish), halved=True)
    seen = FolderStore(video).clip(NAMES, lambda height, width: view)
    assert seen.shape == (12, whole.shape[1], 16, 16)
    assert (seen.float() - view(whole).float()).abs().mean() < 2


def test_sizes_are_compared_before_they_are_halved(video):
    Image.new("L", (60, 43)).save(video / "7.jpg")
    view = View(Box(0, 0, 40, 40), lambda clip: clip, halved=True)
    with pytest.raises(InputError, match=r"v.1: 1.jpg is 60x44 but 7.jpg is 60x43; extract the video again"):
        FolderStore(video).clip(NAMES, lambda height, width: view)


def test_colour_may_begin_late(tmp_path):
    Image.new("L", (8, 6), 7).save(tmp_path / "1.png")
    Image.new("RGB", (8, 6), (1, 2, 3)).save(tmp_path / "2.png")
    clip = FolderStore(tmp_path).clip(["1.png", "2.png", "1.png"])
    assert clip[:, :, 3, 4].tolist() == [[7, 7, 7], [1, 2, 3], [7, 7, 7]]


# ---------------------------------------------------------------- zips of other makers


def with_comment(path):
    with zipfile.ZipFile(path, "a") as pack:
        pack.comment = b"frames of a video"


def with_prefix(path):
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())


@pytest.mark.parametrize("change", [lambda path: None, with_comment, with_prefix])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zips_of_other_makers(video, tmp_path, method, change):
    pack = zip_of(video, tmp_path / "other.zip", compression=method)
    change(pack)
    assert torch.equal(ZipStore(pack).clip(NAMES), FolderStore(video).clip(NAMES))
    assert ZipStore(pack).names() == NAMES and not ZipStore(pack).holds("13.jpg")


def test_names_inside_other_names(tmp_path):
    content = {"a1.jpg": b"x", "sub/1.jpg": b"y", "1.jpg.bak": b"z", "1.jpg": b"found", "11.jpg": b"w"}
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as pack:
        for name, data in content.items():
            pack.writestr(name, data)
    for name in (*content, *reversed(content)):
        assert ZipStore(tmp_path / "v.zip").read(name) == content[name]
    source = ZipStore(tmp_path / "v.zip")
    assert [bytes(source.read(name)) for name in reversed(content)] == list(reversed(content.values()))
    assert not source.holds(".jpg") and not source.holds("jpg.bak")


def test_more_members_than_a_plain_table_counts(tmp_path):
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as pack:
        for i in range(66000):
            pack.writestr(zipfile.ZipInfo(f"{i}.jpg"), b"%d" % i)
    source = ZipStore(tmp_path / "v.zip")
    assert [bytes(source.read(f"{i}.jpg")) for i in (65999, 0)] == [b"65999", b"0"] and not source.holds("66000.jpg")


def test_zips_that_cannot_be_read(video, tmp_path):
    pack = zip_of(video, tmp_path / "v.zip")
    whole = pack.read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2], whole[:-5]):
        pack.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot read .*v.zip: .*; pack the video again"):
            open_store(tmp_path / "v")
        (tmp_path / "list.txt").write_text("zips/v.1 12 0\nv 12 0")
        with pytest.raises(InputError, match=r"list.txt: line 2: 'v 12 0' cannot read .*v.zip: "):
            read_list(tmp_path / "list.txt", tmp_path, SPEC)
    at = whole.index(b"PK\1\2")
    pack.write_bytes(whole[: at + 8] + struct.pack("<H", 1) + whole[at + 10 :])
    with pytest.raises(InputError, match=r"1.jpg is encrypted or compressed in a way that is not read here"):
        ZipStore(pack).read("1.jpg")
    pack.write_bytes(whole[: at + 42] + struct.pack("<L", len(whole) - 40) + whole[at + 46 :])
    with pytest.raises(InputError, match=r"cannot read frame .*v.zip/1.jpg: it is cut off"):
        ZipStore(pack).read("1.jpg")


def test_a_member_that_does_not_fit_its_checksum(video, tmp_path):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        pack = zip_of(video, tmp_path / "v.zip", compression=method)
        with zipfile.ZipFile(pack) as content:
            member = content.getinfo("2.jpg")
        data = bytearray(pack.read_bytes())
        data[member.header_offset + 30 + len("2.jpg") + member.compress_size // 2] ^= 1
        pack.write_bytes(data)
        with pytest.raises(InputError, match=r"cannot read frame .*v.zip/2.jpg: (its checksum differs|it is cut off)"):
            ZipStore(pack).read("2.jpg")
        assert ZipStore(pack).read("3.jpg") == (video / "3.jpg").read_bytes()


@pytest.mark.parametrize("stated", [1000, 200_000_000, 0xFFFFFFF0])
def test_a_member_never_grows_beyond_its_stated_size(tmp_path, stated):
    """64 MB of zeros in 64 KB of zip, which says something else of its size."""
    with zipfile.ZipFile(tmp_path / "v.zip", "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("1.jpg", bytes(1 << 26))
    data = bytearray((tmp_path / "v.zip").read_bytes())
    at = data.index(b"PK\1\2")
    data[at + 24 : at + 28] = struct.pack("<L", stated)
    (tmp_path / "v.zip").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(InputError, match="v.zip(/1.jpg: it is cut off|: 1.jpg would be 4294967280 bytes)"):
        ZipStore(tmp_path / "v.zip").read("1.jpg")
    grown = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert grown < (1 << 20 if stated != 200_000_000 else 1 << 28)


def test_missing_frames_of_a_zip(video, tmp_path):
    (tmp_path / "list.txt").write_text("zips/v.1 13 0")
    with pytest.raises(InputError, match=r"zips/v.1: list says 13 frames, zip holds 12 \(no 13.jpg in .*v.1.zip\)"):
        read_list(tmp_path / "list.txt", tmp_path, SPEC)
    with pytest.raises(InputError, match=r"no frame 13.jpg in .*v.1.zip; pack the video again"):
        ZipStore(tmp_path / "zips/v.1.zip").clip(["13.jpg"])


def test_flow_in_numbered_zips(tmp_path):
    spec = DatasetSpec(2, "{:06d}-{}_{:05d}.jpg")
    assert frame_files(spec, tmp_path / "12.zip", [0]) == ["000012-x_00001.jpg", "000012-y_00001.jpg"]


# ---------------------------------------------------------------- raw packs


def test_a_raw_pack_is_what_numpy_reads(video, tmp_path):
    pixels = np.load(tmp_path / "raws/v.1.npy")
    whole = FolderStore(video).clip(NAMES)
    assert pixels.dtype == np.uint8 and pixels.shape == ((12, 44, 60) if whole.shape[1] == 1 else (12, 44, 60, 3))
    assert np.array_equal(pixels, whole.permute(0, 2, 3, 1).squeeze(-1).numpy())


def test_raw_packs_of_other_makers(tmp_path):
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    np.save(tmp_path / "v.npy", np.asfortranarray(pixels))
    clip = open_store(tmp_path / "v").load(SPEC, [1, 0], whole_frames)
    assert torch.equal(clip, torch.from_numpy(pixels[[1, 0], None]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.zeros((2, 3, 4)), r"holds float64 \(2, 3, 4\), not uint8"),
        (np.zeros((2, 3), np.uint8), r"holds uint8 \(2, 3\), not uint8 \(t, H, W\)"),
        (np.zeros((2, 3, 4, 4), np.uint8), r"holds uint8 \(2, 3, 4, 4\), not"),
        (np.array(["code"], object), "cannot read .*v.npy"),
    ],
)
def test_arrays_that_are_no_frames(tmp_path, content, reason):
    np.save(tmp_path / "v.npy", content)
    with pytest.raises(InputError, match=reason):
        open_store(tmp_path / "v")


def test_a_raw_pack_whose_shape_no_file_could_hold(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((2, 3, 4), np.uint8))
    data = (tmp_path / "v.npy").read_bytes()
    (tmp_path / "v.npy").write_bytes(data.replace(b"(2, 3, 4), }" + b" " * 22, b"(" + b"9" * 22 + b"2, 3, 4), }"))
    with pytest.raises(InputError, match="cannot read .*v.npy: .*; pack the video again"):
        open_store(tmp_path / "v")


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: b"no array", lambda data: data[:-1]])
def test_spoiled_raw_packs(tmp_path, spoil):
    np.save(tmp_path / "v.npy", np.zeros((2, 3, 4), np.uint8))
    (tmp_path / "v.npy").write_bytes(spoil((tmp_path / "v.npy").read_bytes()))
    with pytest.raises(InputError, match="cannot read .*v.npy: .*; pack the video again"):
        open_store(tmp_path / "v")


def test_what_a_raw_pack_cannot_give(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((2, 3, 4), np.uint8))
    assert find_problem(Video("v", 2, 0), tmp_path, SPEC) is None
    assert find_problem(Video("v", 3, 0), tmp_path, SPEC) == f"v: list says 3 frames, {tmp_path}/v.npy holds 2"
    with pytest.raises(InputError, match="list says 3 frames"):
        RawStore(tmp_path / "v.npy").load(SPEC, [2], whole_frames)
    flow = DatasetSpec(2, "flow_{}_{:05d}.jpg")
    assert "raw frames, which cannot be flow" in find_problem(Video("v", 2, 0), tmp_path, flow)


def test_flow_from_a_zip(tmp_path):
    (tmp_path / "a").mkdir()
    for axis, level in (("x", 10), ("y", 200)):
        for i in range(1, 7):
            Image.new("L", (16, 16), level + i).save(tmp_path / "a" / f"flow_{axis}_{i:05d}.png")
    write_zip(tmp_path / "a", tmp_path / "b.zip")
    spec, clips = DatasetSpec(2, "flow_{}_{:05d}.png"), []
    for name in "ab":
        dataset = VideoDataset(
            [Video(name, 6, 0)],
            tmp_path,
            spec,
            MODALITIES["Flow"],
            lambda n, epoch, rng: np.arange(n),
            lambda h, w, rng: whole_frames(h, w),
            0,
        )
        clips.append(dataset[0, 0][0])
    assert torch.equal(*clips)
    assert clips[1][:, :, 0, 0].tolist() == [
        [11, 201, 12, 202, 13, 203, 14, 204, 15, 205],
        [12, 202, 13, 203, 14, 204, 15, 205, 16, 206],
    ]


@pytest.mark.parametrize("pack", [False, True])
def test_a_first_number_of_its_own(tmp_path, pack):
    for name, first in (("a", 0), ("b", 7)):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("L", (8, 6), 10 * first + i).save(tmp_path / name / f"{first + i}.png")
        if pack:
            write_zip(tmp_path / name, tmp_path / f"{name}.zip")
            shutil.rmtree(tmp_path / name)
    spec = DatasetSpec(2, "{}.png", first_frame=None)
    for name, first in (("a", 0), ("b", 7)):
        store = open_store(tmp_path / name)
        assert store.load(spec, [2, 0], whole_frames)[:, 0, 0, 0].tolist() == [10 * first + 2, 10 * first]
        assert store.problem(spec, 3) is None and store.inspect(spec, 3) == (3, [])
        assert store.problem(spec, 4).startswith(f"list says 4 frames, {store.kind} holds 3 (no {first + 3}.png in ")


# ---------------------------------------------------------------- a new kind


def test_a_new_kind_is_a_class_and_an_entry(tmp_path, monkeypatch, capsys):
    """What docs/extending.md says: lists, loading and the check take it without learning of it."""

    class TextStore(Store):
        kind = "text"

        def count(self, spec):
            return len(self.path.read_text().split())

        def load(self, spec, frames, view_of):
            levels = np.array(self.path.read_text().split(), np.uint8)[np.asarray(frames)]
            return view_of(4, 6)(torch.from_numpy(levels)[:, None, None, None].expand(-1, 1, 4, 6))

    monkeypatch.setitem(STORES, ".grey", TextStore)
    (tmp_path / "v.grey").write_text("7 8 9")
    for name in (TRAIN_LIST, VAL_LIST):
        (tmp_path / name).write_text("v 3 0\n" if name == TRAIN_LIST else "v.grey 2 1\n")
    dataset = VideoDataset(
        read_list(tmp_path / TRAIN_LIST, tmp_path, SPEC),
        tmp_path,
        SPEC,
        MODALITIES["RGB"],
        lambda n, epoch, rng: np.arange(n),
        lambda h, w, rng: whole_frames(h, w),
        0,
    )
    assert dataset[0, 0][0][:, :, 0, 0].tolist() == [[7, 7, 7], [8, 8, 8], [9, 9, 9]]
    words = [str(tmp_path), "RGB", "--num_class", "2", "--image_tmpl", "{}.jpg", "--csv", str(tmp_path / "p.csv")]
    assert check_dataset.main([*words, "--root_path", str(tmp_path)]) == 1
    assert f"v.grey: list says 2 frames, {tmp_path}/v.grey holds 3" in (tmp_path / "p.csv").read_text()
    assert open_store(tmp_path / "w").problem(SPEC, 1) == (
        f"no folder {tmp_path}/w, nor w.zip or w.npy or w.features.npy or w.grey, nor a video file of that name"
    )
