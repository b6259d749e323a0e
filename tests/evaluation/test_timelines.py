"""What is kept of a video while its timeline is read."""

import json

import pytest
import torch

from ops.errors import InputError
from ops.evaluation.timelines import SomeFrames, VideoTimeline, as_json, read_timeline
from ops.live.segments import Segment
from ops.live.windows import Told


@pytest.mark.parametrize("number, kept", [(1, [0]), (4, [0, 1, 2, 3]), (5, [0, 2, 4]), (40, [0, 16, 32])])
def test_some_frames_are_evenly_spaced_and_bounded(number, kept):
    some = SomeFrames(4)
    for start in range(0, number, 3):
        times = [*range(start, min(start + 3, number))]
        some.see(torch.tensor(times, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2), times)
    assert [time for time, _ in some.kept] == kept
    assert [int(frame[0, 0, 0]) for _, frame in some.kept] == kept and some.kept[0][1].shape == (3, 2, 2)


def test_a_video_without_frames_is_refused():
    class Silent:
        def restart(self) -> None:
            pass

        def finish(self) -> list:
            return []

    with pytest.raises(InputError, match="empty holds no frames"):
        read_timeline("empty", [], Silent(), 1, 0.0, 4)


def test_a_name_that_is_no_unicode_leaves_json_that_can_be_read():
    told = [Told(0, 0, 0.0, 0.04, torch.tensor([0.25, 0.75]))]
    video = VideoTimeline("a/\udcff.mp4", 1, told, [Segment(1, 0.0, 0.04, 0.75)], 1, [])
    content = json.loads(as_json([video], ["\u00e9", "b"], {}).decode())
    assert content["classes"] == ["\u00e9", "b"] and content["videos"][0]["video"] == "a/\udcff.mp4"
