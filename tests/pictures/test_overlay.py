"""What is drawn over the frames of a video that goes on, into a file or on screen."""

import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from ops.errors import InputError
from ops.pictures.overlay import Recording, Screen, check_video, draw_over


@pytest.mark.parametrize("size", [(32, 20), (240, 320), (1080, 1920)])
def test_what_is_said_stands_over_a_frame(size):
    frame = np.full((*size, 3), 200, np.uint8)
    shown = draw_over(frame, [("wave" * 50, 0.75), ("öß", 0.25)], "1.0 s")
    assert shown.shape == frame.shape and shown.dtype == np.uint8
    assert (frame == 200).all()
    middle = size[0] // 2
    assert (shown[middle] == 200).all() or size[0] < 100
    assert (shown[-1] < 200).all() and (shown[0, 0] < 200).all()
    assert (draw_over(frame, [], "")[-1] == 200).all()


def test_a_recording_keeps_the_times_of_its_frames(tmp_path):
    recording = Recording(tmp_path / "new" / "r.mkv")
    for time in (0.0, 0.1, 0.1, 0.7):
        recording.show(np.full((33, 47, 3), 90, np.uint8), time)
    recording.close()
    with av.open(str(tmp_path / "new" / "r.mkv")) as file:
        frames = list(file.decode(video=0))
    assert [round(frame.time, 3) for frame in frames] == [0, 0.1, 0.101, 0.7]
    assert (frames[0].width, frames[0].height) == (46, 32)
    with pytest.raises(InputError, match="frames of one pixel a side"):
        Recording(tmp_path / "thin.mkv").show(np.zeros((1, 47, 3), np.uint8), 0)
    Recording(tmp_path / "empty.mp4").close()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_names_of_videos(tmp_path):
    with pytest.raises(InputError, match="ends in .mp4, .mkv, .mov"):
        check_video(tmp_path / "a.txt")
    with pytest.raises(InputError, match="give another place with --out"):
        check_video(Path(__file__) / "a.mp4")
    check_video(tmp_path / "new" / "a.mp4")
    assert not list(tmp_path.iterdir())


def toolkit(gui: str, keys=()) -> SimpleNamespace:
    """What of OpenCV is used."""
    shown, keys = [], iter(keys)
    return SimpleNamespace(
        getBuildInformation=lambda: f"  GUI:                           {gui}\n    GTK+: NO\n",
        imshow=lambda title, pixels: shown.append((title, pixels.tolist())),
        waitKey=lambda wait: next(keys, -1),
        destroyAllWindows=shown.clear,
        shown=shown,
    )


def test_a_window_on_screen(monkeypatch):
    cv2 = toolkit("QT5", [-1, ord("q")])
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    monkeypatch.setenv("DISPLAY", ":0")
    screen = Screen("title")
    screen.show(np.array([[[1, 2, 3]]], np.uint8), 0.0)
    assert cv2.shown == [("title", [[[3, 2, 1]]])]  # OpenCV takes blue first
    with pytest.raises(KeyboardInterrupt):
        screen.show(np.zeros((1, 1, 3), np.uint8), 0.1)
    screen.close()
    assert cv2.shown == []


@pytest.mark.parametrize(
    "gui, part", [(None, "pip install opencv-python"), ("NONE", "uninstall opencv-python-headless")]
)
def test_without_windows_the_user_is_told_what_to_install(gui, part, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", gui and toolkit(gui))
    with pytest.raises(InputError, match=part):
        Screen("title")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others need no DISPLAY")
def test_without_a_screen_the_user_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", toolkit("GTK3"))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match="--show needs a screen"):
        Screen("title")
