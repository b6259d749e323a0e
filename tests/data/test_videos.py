"""Video files of every kind: each frame once and in its order, the same pixels on every road, and named errors."""

import json
import multiprocessing
import os
import shutil
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from videos import blink, copy_packets, greys, make_video, write_sound, write_video

from ops.data import video_index
from ops.data.batches import EpochBatches
from ops.data.dataset import VideoDataset
from ops.data.frame_names import VIDEOS
from ops.data.lists import Video, read_list
from ops.data.loading import make_loader
from ops.data.modality import MODALITIES
from ops.data.sampling import FrameSampler
from ops.data.specs import DatasetSpec
from ops.data.stores import FolderStore, VideoStore, open_store
from ops.data.video_file import VideoFile, read_video, shrunk
from ops.data.video_index import FOLDER, read_index
from ops.data.views import Box, View, eval_transform, whole_frames
from ops.errors import InputError
from tools import extract_frames

SPEC = DatasetSpec(2, "img_{:05d}.jpg")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """Indexes go to a folder of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/full_video_index"


def every_frame(path: Path, spec: DatasetSpec = SPEC) -> torch.Tensor:
    store = open_store(path)
    return store.load(spec, range(store.count(spec)), whole_frames)


def levels(clip: torch.Tensor) -> list[float]:
    """What 16, 26, ... of luma have become, as numbers of frames."""
    return [round(float(frame.float().mean()) * 219 / 255 / 10, 1) for frame in clip]


# ---------------------------------------------------------------- every kind: frames and pixels


def interlaced(path):
    options = {"flags": "+ildct+ilme", "g": "6"}
    return blink(path.with_suffix(".mpg"), options=options, codec="mpeg2video")


def edited(path):
    """An edit list leaves out the frames before the second: they are in the file, and no player shows them."""
    whole = blink(path.with_name("whole.mp4"), 20, gop=10)
    with av.open(str(whole)) as source, av.open(str(path), "w") as file:
        video = source.streams.video[0]
        stream = file.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.pts -= 4 * packet.duration
                packet.dts -= 4 * packet.duration
                packet.stream = stream
                file.mux(packet)
    return path


def open_gops(path):
    """Cut so that B-frames refer to a picture before the first key frame."""
    words = {"x264-params": "open-gop=1:bframes=3:keyint=8:min-keyint=8:scenecut=0:b-adapt=0"}
    whole = blink(path.with_name("whole.mkv"), 20, codec="libx264", options=words)
    return copy_packets([whole], path.with_suffix(".mkv"), start=0.3)


def without_durations(path):
    """A bare stream: no container, no times, no durations."""
    write_video(path.with_suffix(".h264"), greys(16 + 10 * n for n in range(20)))
    return path.with_suffix(".h264").rename(path.with_suffix(".ts"))


def two_streams(path):
    with av.open(str(path.with_suffix(".mkv")), "w") as file:
        streams = [file.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, size in zip(streams, ((64, 48), (32, 32)), strict=True):
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for stream, size in zip(streams, ((64, 48), (32, 32)), strict=True):
            for frame in greys((16 + 10 * n for n in range(20)), size):
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return path.with_suffix(".mkv")


def alpha(path):
    frames = []
    for n in range(20):
        pixels = np.full((48, 64, 4), round(n * 10 * 255 / 219), np.uint8)
        pixels[..., 3] = 40
        frames.append(av.VideoFrame.from_ndarray(pixels, "rgba"))
    return write_video(path.with_suffix(".mov"), frames, codec="qtrle", pix_fmt="argb", options={"threads": "1"})


KINDS = {
    "h264": blink,
    "variable rate": lambda path: blink(path.with_suffix(".mkv"), times=[n * n * 9 for n in range(20)]),
    "B-frames": lambda path: blink(path.with_suffix(".avi"), options={"bf": "2", "qmax": "2"}, codec="mpeg4"),
    "h264 in avi": lambda path: blink(path.with_suffix(".avi"), codec="libx264"),
    "negative times": lambda path: blink(
        path, times=[n - 7 for n in range(20)], muxer={"avoid_negative_ts": "disabled", "use_editlist": "0"}
    ),
    "no durations": without_durations,
    "interlaced": interlaced,
    "odd size": lambda path: write_video(
        path.with_suffix(".avi"), [f.reformat(63, 47) for f in greys(16 + 10 * n for n in range(20))]
    ),
    "several streams": two_streams,
    "alpha": alpha,
    "10 bit": lambda path: blink(path, pix_fmt="yuv420p10le", codec="libx264", options={"qp": "4"}),
    "vp9": lambda path: blink(path.with_suffix(".webm"), codec="libvpx-vp9", options={"deadline": "realtime"}),
    "gif": lambda path: write_video(
        path.with_suffix(".gif"), greys(16 + 10 * n for n in range(20)), pix_fmt="gray", rate=25
    ),
}


def on_every_road(path: Path, tmp_path: Path) -> torch.Tensor:
    """The frames of a file, having seen that training, prediction and extraction agree on them."""
    clip = every_frame(path)
    assert torch.equal(torch.cat(list(read_video(path, 256, 7))), clip)
    (tmp_path / "src").mkdir()
    shutil.copy(path, tmp_path / "src")
    extract_frames.main([str(tmp_path / "src"), str(tmp_path / "dst")])
    folder = FolderStore(tmp_path / "dst" / path.stem)
    assert folder.count(SPEC) == len(clip)
    extracted = folder.load(SPEC, range(len(clip)), whole_frames)
    assert extracted.shape[2:] == clip.shape[2:] and (extracted.float() - clip.float()).abs().mean() < 3
    return clip


@pytest.mark.parametrize("kind", KINDS)
def test_each_frame_once_in_order_on_every_road(kind, tmp_path):
    path = KINDS[kind](tmp_path / "v.mp4")
    clip = on_every_road(path, tmp_path)
    assert np.allclose(levels(clip), range(20), atol=0.4)
    store = open_store(path)
    for frames in ([19], [3, 4, 11], [0, 7, 8, 16], [5]):
        assert torch.equal(store.load(SPEC, frames, whole_frames), clip[frames])


def test_what_an_edit_list_leaves_out_is_not_shown(tmp_path):
    clip = on_every_road(edited(tmp_path / "v.mp4"), tmp_path)
    assert np.allclose(levels(clip), range(4, 20), atol=0.4)
    store = open_store(tmp_path / "v.mp4")
    assert torch.equal(store.load(SPEC, [1, 13], whole_frames), clip[[1, 13]])


def test_frames_before_the_first_key_frame_are_the_same_on_every_road(tmp_path):
    path = open_gops(tmp_path / "v.mp4")
    clip = on_every_road(path, tmp_path)
    found = levels(clip)
    assert found == sorted(found) and found[-1] == 19
    for number in range(len(clip)):
        assert torch.equal(open_store(path).load(SPEC, [number], whole_frames), clip[[number]])


COLOURS = {"BT.601": (5, 1), "BT.709": (1, 1), "full range": (5, 2), "BT.709 and full range": (1, 2)}


@pytest.mark.parametrize("kind", COLOURS)
def test_colours_are_those_that_the_file_means(kind, tmp_path):
    matrix, colour_range = COLOURS[kind]
    frames = [av.VideoFrame.from_ndarray(np.full((48, 64, 3), (32, 208, 64), np.uint8), "rgb24") for _ in range(3)]
    words = {"dst_colorspace": matrix, "dst_color_range": colour_range}
    frames = [frame.reformat(format="yuv420p", **words) for frame in frames]
    clip = on_every_road(write_video(tmp_path / "v.mp4", frames), tmp_path)
    found = clip.float().mean((0, 2, 3))
    assert torch.allclose(found, torch.tensor([32.0, 208.0, 64.0]), atol=4), found


TURNS = {
    90: lambda clip: clip.rot90(1, (2, 3)),
    180: lambda clip: clip.rot90(2, (2, 3)),
    -90: lambda clip: clip.rot90(-1, (2, 3)),
}


@pytest.mark.parametrize("degrees", TURNS)
def test_turned_videos_are_shown_upright(degrees, tmp_path):
    plain = make_video(tmp_path / "plain.mp4", 5, "gradients=seed=1")
    turned = tmp_path / "v.mp4"
    with av.open(str(plain)) as source, av.open(str(turned), "w") as file:
        video = source.streams.video[0]
        stream = file.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
    write_matrix(turned, degrees)
    assert torch.equal(on_every_road(turned, tmp_path), TURNS[degrees](every_frame(plain)))


def write_matrix(path: Path, degrees: int) -> None:
    """Write a rotation into the only track header of an mp4."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    cos, sin = {90: (0, -1), 180: (-1, 0), -90: (0, 1)}[degrees]
    matrix = np.array([cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30], ">i4")
    data[place : place + 36] = matrix.tobytes()
    path.write_bytes(data)


# ---------------------------------------------------------------- few frames


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Path:
    """240 frames, a key frame every 24."""
    return make_video(tmp_path_factory.mktemp("long") / "v.mp4", 240, gop=24)


@pytest.fixture(scope="module")
def all_of_it(long) -> torch.Tensor:
    return torch.cat(list(read_video(long, 256, 64)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(st.lists(st.integers(0, 239), min_size=1, max_size=8), min_size=1, max_size=3))
def test_any_frames_in_any_order_are_those_of_one_pass(calls, long, all_of_it):
    store = open_store(long)
    for frames in calls:
        assert torch.equal(store.load(SPEC, frames, whole_frames), all_of_it[frames])


def decoded(monkeypatch) -> list[int]:
    """Grows by one for each frame that is decoded from now on."""
    count, step = [], VideoFile._step

    def counting(self):
        before = len(self.ready)
        more = step(self)
        count.extend(range(len(self.ready) - before))
        return more

    monkeypatch.setattr(VideoFile, "_step", counting)
    return count


def test_few_frames_decode_what_they_must(long, monkeypatch):
    store = open_store(long)
    assert store.index.keys == list(range(0, 240, 24))
    count = decoded(monkeypatch)
    store.load(SPEC, [50, 170], whole_frames)
    assert 2 <= len(count) < 20  # 3 and 3 from their key frames, and what the decoder holds


def test_a_long_video_is_read_on_part_by_part(long, all_of_it, monkeypatch):
    store = open_store(long)
    assert len(store.index.times) == 240
    count = decoded(monkeypatch)
    for start in range(48, 240, 16):
        part = range(start, start + 16)
        assert torch.equal(store.load(SPEC, part, whole_frames), all_of_it[list(part)])
    assert len(count) == 240 - 48
    assert torch.equal(store.load(SPEC, [0], whole_frames), all_of_it[:1])  # and back again


def test_only_what_is_seen_is_kept(long):
    seen = open_store(long).load(SPEC, range(5), lambda h, w: View(Box(4, 8, 16, 20), lambda clip: clip))
    assert torch.equal(seen, open_store(long).load(SPEC, range(5), whole_frames)[..., 4:20, 8:28])


@pytest.mark.parametrize(("side", "size"), [(256, (48, 64)), (24, (24, 32)), (0, (48, 64))])
def test_frames_are_shrunk_as_extraction_shrinks_them(side, size, long):
    spec = DatasetSpec(2, "img_{:05d}.jpg", short_side=side)
    assert open_store(long).load(spec, [3], whole_frames).shape == (1, 3, *size)
    assert shrunk(1080, 1920, 256) == (256, 455) and shrunk(1920, 1080, 256) == (455, 256)


def test_a_wrong_index_costs_time_and_no_frame(long, all_of_it):
    store = open_store(long)
    times = [*store.index.times[1:], store.index.times[-1] + 512]
    store.index = video_index.VideoIndex(**vars(store.index) | {"times": times})
    found = store.load(SPEC, [0, 100, 239], whole_frames)
    assert found.shape[0] == 3


# ---------------------------------------------------------------- the index


def test_the_index_is_kept_and_a_stale_one_noticed(tmp_path, cache, monkeypatch):
    path = blink(tmp_path / "v.mp4", 8)
    assert read_index(path).frames == 8 and len(list(cache.iterdir())) == 1
    monkeypatch.setattr(video_index, "make_index", lambda path: pytest.fail("it is there"))
    assert read_index(path).frames == 8
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    blink(path, 11)
    assert read_index(path).frames == 11 and len(list(cache.iterdir())) == 1
    (file,) = cache.iterdir()
    file.write_text(file.read_text()[:30])
    assert read_index(path).frames == 11


def test_the_index_stands_beside_the_lists_where_there_is_a_place(tmp_path, cache):
    (tmp_path / "data" / FOLDER).mkdir(parents=True)
    elsewhere = blink(tmp_path / "elsewhere/a/v.mp4", 4).parent.parent
    (tmp_path / "data/videos").symlink_to(elsewhere)
    assert open_store(tmp_path / "data/videos/a/v").count(SPEC) == 4
    assert not cache.exists() and len(list((tmp_path / "data" / FOLDER).iterdir())) == 1
    (tmp_path / "data").rename(tmp_path / "moved")
    (file,) = (tmp_path / "moved" / FOLDER).iterdir()
    facts = json.loads(file.read_text())
    file.write_text(json.dumps(facts | {"frames": 99}))
    assert open_store(tmp_path / "moved/videos/a/v").count(SPEC) == 99  # it is read, not made again


def test_where_nothing_can_be_written_it_is_made_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = blink(tmp_path / "v.mp4", 4)
    assert read_index(path).frames == read_index(path).frames == 4


# ---------------------------------------------------------------- lists, errors


def test_a_list_line_means_the_file_where_no_folder_nor_pack_is(tmp_path):
    for name in ("a.mp4", "b.AVI", "c.d.webm", "e.gif"):
        blink(tmp_path / name, 4, **({"pix_fmt": "gray"} if name == "e.gif" else {}))
    (tmp_path / "list.txt").write_text("a 4 0\na.mp4 4 0\nb.AVI 4 1\nc.d 4 1\ne 4 0\n")
    assert len(read_list(tmp_path / "list.txt", tmp_path, SPEC)) == 5
    assert isinstance(open_store(tmp_path / "a"), VideoStore)
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 8), np.uint8))
    assert not isinstance(open_store(tmp_path / "a"), VideoStore)
    assert VIDEOS[:8] == (".mp4", ".avi", ".webm", ".mkv", ".mov", ".mpg", ".m4v", ".gif")


def spoil(path: Path) -> Path:
    data = make_video(path, 40).read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    return path


def test_what_is_wrong_is_one_line_with_the_path(tmp_path):
    blink(tmp_path / "short.mp4", 4)
    spoil(tmp_path / "cut.mkv")
    write_sound(tmp_path / "sound.mp4")
    (tmp_path / "text.avi").write_text("no video")
    (tmp_path / "list.txt").write_text("short 5 0\ncut 40 0\nsound 1 1\ntext 1 1\n")
    with pytest.raises(InputError) as error:
        read_list(tmp_path / "list.txt", tmp_path, SPEC)
    for part in (
        f"line 1: short: list says 5 frames, {tmp_path}/short.mp4 holds 4",
        f"{tmp_path}/cut.mkv cannot be decoded: File ended prematurely",
        f"{tmp_path}/sound.mp4 cannot be decoded: there are no pictures in it, only sound or the like",
        f"{tmp_path}/text.avi cannot be decoded: Invalid data found when processing input",
    ):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("frames", [range(5), [1, 4], [4]])
def test_never_fewer_frames_than_asked(frames, tmp_path):
    store = open_store(blink(tmp_path / "v.mp4", 4))
    with pytest.raises(InputError, match="list says 5 or more frames, .*/v.mp4 holds 4"):
        store.load(SPEC, frames, whole_frames)


def test_a_damaged_file_is_refused_or_taken_as_far_as_it_goes(tmp_path):
    path, damaged = spoil(tmp_path / "v.mkv"), DatasetSpec(2, "{}.jpg", keep_damaged=True)
    with pytest.raises(InputError, match="v.mkv cannot be decoded: File ended prematurely"):
        open_store(path).load(SPEC, range(40), whole_frames)
    store = open_store(path)
    held = store.count(damaged)
    assert 5 < held < 40 and len(store.load(damaged, [0, 2, held - 1], whole_frames)) == 3
    with pytest.raises(InputError, match=f"holds {held}"):
        store.load(damaged, range(40), whole_frames)
    assert open_store(path).inspect(SPEC, 40)[1][0][0] == "unreadable video"


def test_a_video_file_is_no_flow(tmp_path):
    store = open_store(blink(tmp_path / "v.mp4", 4))
    flow = DatasetSpec(2, "flow_{}_{:05d}.jpg")
    assert "cannot be flow" in store.problem(flow, 4)
    with pytest.raises(InputError, match="cannot be flow"):
        store.load(flow, [0], whole_frames)


# ---------------------------------------------------------------- workers


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_load_what_the_main_process_loads(start, tmp_path):
    for i in range(4):
        make_video(tmp_path / f"v{i}.mp4", 20 + i)
    videos = [Video(f"v{i}", 20 + i, 0) for i in range(4)]
    sampling = FrameSampler(4, clustering=False, train=True)

    view = partial(eval_transform, size=32)
    dataset = VideoDataset(videos, tmp_path, SPEC, MODALITIES["RGB"], sampling, view, 0)
    held = open_store(tmp_path / "v0")  # a file that is open while workers are forked
    first = held.load(SPEC, range(5), whole_frames)
    here = [dataset[0, i][0] for i in range(4)]
    loader = make_loader(dataset, EpochBatches(4, 2), 2, False)
    loader.multiprocessing_context = multiprocessing.get_context(start)
    batches = list(loader)
    assert torch.equal(torch.cat([batch.frames for batch in batches]), torch.cat(here))
    assert len(held.load(SPEC, range(5, 20), whole_frames)) == 15 and len(first) == 5


def test_a_decoder_has_one_thread(tmp_path):
    file = VideoFile(blink(tmp_path / "v.mp4", 4))
    before = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
    for frame in file.frames():
        file.pixels(frame, 24)
    after = len(os.listdir("/proc/self/task")) if before else 0
    assert file.stream.codec_context.thread_count == 1 and after == before
