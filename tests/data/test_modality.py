"""Modalities from files to the network: stacks, channels, mirrors, and TSN's surgery on the first convolution."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from ops.data.dataset import VideoDataset
from ops.data.lists import Video
from ops.data.modality import MODALITIES, frame_differences
from ops.data.specs import DatasetSpec
from ops.data.stores.pictures import frame_files
from ops.data.views import train_transform, whole_frames
from ops.errors import InputError
from ops.models import build_model
from ops.training.checkpoint import load_weights
from ops.training.optim import parameter_groups

FLOW = DatasetSpec(2, "flow_{}_{:05d}.jpg")


def keep(height, width, rng):
    return whole_frames(height, width)


def every_step(num_frames, epoch, rng):
    return np.arange(num_frames)


def clip_of(folder, spec, modality, num_frames, transform=keep, sampling=every_step):
    dataset = VideoDataset(
        [Video(folder.name, num_frames, 0)], folder.parent, spec, MODALITIES[modality], sampling, transform, 0
    )
    return dataset[0, 0][0]


@pytest.fixture
def flow(tmp_path):
    """Flow images whose grey level is 10 i for x and 10 i + 5 for y."""
    folder = tmp_path / "12"
    folder.mkdir()
    for i in range(1, 8):
        for axis, level in (("x", 10 * i), ("y", 10 * i + 5)):
            Image.new("L", (16, 16), level).save(folder / f"flow_{axis}_{i:05d}.png")
    return folder


PNG = DatasetSpec(2, "flow_{}_{:05d}.png")


def test_a_step_of_flow_is_five_pairs(flow):
    clip = clip_of(flow, PNG, "Flow", 7)
    assert clip.shape == (3, 10, 16, 16)  # 7 pairs hold 3 stacks of 5
    assert clip[:, :, 0, 0].tolist() == [
        [10, 15, 20, 25, 30, 35, 40, 45, 50, 55],
        [20, 25, 30, 35, 40, 45, 50, 55, 60, 65],
        [30, 35, 40, 45, 50, 55, 60, 65, 70, 75],
    ]


def test_a_video_shorter_than_a_stack_repeats_its_last_pair(flow):
    assert clip_of(flow, PNG, "Flow", 2)[:, :, 0, 0].tolist() == [[10, 15, 20, 25, 20, 25, 20, 25, 20, 25]]


def test_steps_may_come_in_any_order(flow):
    clip = clip_of(flow, PNG, "Flow", 7, sampling=lambda n, epoch, rng: np.array([2, 0]))
    assert clip[:, 0, 0, 0].tolist() == [30, 10]


def test_a_mirror_turns_horizontal_flow_around(flow):
    mirrored = set()
    for seed in range(8):
        transform = partial(train_transform, size=8, flip=True, scales=(1.0,), flow=True)
        dataset = VideoDataset([Video("12", 5, 0)], flow.parent, PNG, MODALITIES["Flow"], every_step, transform, seed)
        x, y = dataset[0, 0][0][0, :2, 0, 0].tolist()
        assert y == 15
        mirrored.add(x)
    assert mirrored == {10, 245}


def test_flow_pictures_that_were_saved_in_colour_are_read_as_grey(flow):
    expected = clip_of(flow, PNG, "Flow", 7)
    for picture in flow.iterdir():
        Image.open(picture).convert("RGB").save(picture)
    assert torch.equal(clip_of(flow, PNG, "Flow", 7), expected)


def test_flow_file_names(tmp_path):
    assert frame_files(FLOW, tmp_path, [0, 4]) == [
        "flow_x_00001.jpg",
        "flow_x_00005.jpg",
        "flow_y_00001.jpg",
        "flow_y_00005.jpg",
    ]
    numbered = DatasetSpec(2, "{:06d}-{}_{:05d}.jpg")
    assert frame_files(numbered, tmp_path / "000123", [0]) == ["000123-x_00001.jpg", "000123-y_00001.jpg"]
    with pytest.raises(InputError, match="needs folders named by a number"):
        frame_files(numbered, tmp_path / "clip", [0])


def test_a_step_of_differences_is_six_frames(tmp_path):
    folder = tmp_path / "v"
    folder.mkdir()
    for i in range(1, 8):
        Image.new("RGB", (16, 16), (i * i, 0, 255 - i)).save(folder / f"{i}.png")
    clip = clip_of(folder, DatasetSpec(2, "{}.png"), "RGBDiff", 7)
    assert clip.shape == (2, 18, 16, 16)
    steps = frame_differences(clip)
    assert steps.shape == (2, 15, 16, 16)
    expected = torch.tensor([v / 255 for i in range(1, 6) for v in (2 * i + 1, 0, -1)])
    torch.testing.assert_close(steps[0, :, 3, 3], expected)


def test_a_step_of_a_dynamic_image_is_ten_frames(tmp_path):
    folder = tmp_path / "v"
    folder.mkdir()
    for i in range(1, 13):
        Image.new("RGB", (16, 16), (10 * i, 77, 255 - 2 * i)).save(folder / f"{i}.png")
    clip = clip_of(folder, DatasetSpec(2, "{}.png"), "DI", 12)
    assert clip.shape == (3, 30, 16, 16) and clip[2, ::3, 0, 0].tolist() == [*range(30, 130, 10)]
    image = build_model("resnet_thin", 2, 1, modality="DI").to_input(clip)
    torch.testing.assert_close(image[1, :, 3, 3], torch.tensor([825, 0, -165]) / 255, rtol=0, atol=1e-4)
    short = clip_of(folder, DatasetSpec(2, "{}.png"), "DI", 3)
    assert short[:, ::3, 0, 0].tolist() == [[10, 20] + [30] * 8]  # the last frame is repeated


def test_single_and_dynamic_flow(flow):
    clip = clip_of(flow, PNG, "OF", 7)
    assert clip.shape == (7, 2, 16, 16) and clip[2, :, 0, 0].tolist() == [30, 35]
    right = build_model("resnet_thin", 2, 1, modality="OF").to_input(torch.full((1, 2, 2, 2), 255, dtype=torch.uint8))
    torch.testing.assert_close(right, torch.full((1, 2, 2, 2), 0.5 / 0.226))
    clip = clip_of(flow, PNG, "DOF", 7)  # 10 i and 10 i + 5, and three times the last
    assert clip.shape == (1, 20, 16, 16)
    image = build_model("resnet_thin", 2, 1, modality="DOF").to_input(clip)
    ramp = 10 * (82.5 - (2.303 * 1 + 1.678 * 2 + 0.900 * 3)) / 255 / 0.226
    torch.testing.assert_close(image[0, :, 0, 0], torch.full((2,), ramp), rtol=1e-3, atol=0)


def test_flow_without_motion_is_about_zero():
    model = build_model("resnet_thin", 2, 1, modality="Flow")
    assert model.to_input(torch.full((1, 10, 2, 2), 128, dtype=torch.uint8)).abs().max() < 0.01
    right = model.to_input(torch.full((1, 10, 2, 2), 255, dtype=torch.uint8))
    torch.testing.assert_close(right, torch.full((1, 10, 2, 2), 0.5 / 0.226))


def test_colours_are_normalised_as_imagenet():
    frames = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 5)
    black, white = build_model("resnet_thin", 2, 1).to_input(frames)
    torch.testing.assert_close(black[:, 0, 0], torch.tensor([-2.11790, -2.03571, -1.80444]), rtol=0, atol=1e-4)
    torch.testing.assert_close(white[:, 3, 4], torch.tensor([2.24891, 2.42857, 2.64000]), rtol=0, atol=1e-4)
    assert frames[1].min() == 255 and frames.dtype == torch.uint8


def test_differences_are_taken_as_they_are():
    steps = torch.randint(0, 256, (2, 18, 4, 4), dtype=torch.uint8)
    assert torch.equal(build_model("resnet_thin", 2, 1, modality="RGBDiff").to_input(steps), frame_differences(steps))


LOADED = {  # modality -> channels of a step as loaded, and as a network takes them in
    "RGB": (3, 3),
    "Flow": (10, 10),
    "RGBDiff": (18, 15),
    "SI": (3, 3),
    "DI": (30, 3),
    "OF": (2, 2),
    "DOF": (20, 2),
}


def test_the_table_above_is_complete():
    assert [*LOADED] == [name for name, source in MODALITIES.items() if not source.features]
    assert [name for name in MODALITIES if MODALITIES[name].flow] == ["Flow", "OF", "DOF"]


@pytest.mark.parametrize("modality", LOADED)
def test_networks_take_what_is_loaded(modality):
    loaded, channels = LOADED[modality]
    model = build_model("resnet_thin", 5, 3, modality=modality, shift=True).eval()
    assert model.base_model.conv1.in_channels == channels
    frames = torch.randint(0, 256, (7, loaded, 32, 32), dtype=torch.uint8)
    assert model(frames, torch.tensor([4, 3])).shape == (2, 5)


def test_rgb_weights_are_spread_over_other_channels():
    rgb = build_model("resnet_thin", 5, 3)
    flow = build_model("resnet_thin", 5, 3, modality="Flow")
    load_weights(flow, rgb.state_dict(), "rgb.pth", tune=True)
    kernel = flow.base_model.conv1.weight
    for channel in (0, 9):
        torch.testing.assert_close(kernel[:, channel], rgb.base_model.conv1.weight.mean(1))
    torch.testing.assert_close(flow.base_model.layer1[0].conv1.weight, rgb.base_model.layer1[0].conv1.weight)
    with pytest.raises(InputError, match="conv1.weight"):
        load_weights(flow, rgb.state_dict(), "rgb.pth")  # not when a model is rebuilt


@pytest.mark.parametrize("modality", ["DI", "OF", "DOF"])
def test_rgb_weights_as_far_as_channels_are_the_same(modality):
    rgb = build_model("resnet_thin", 5, 3).base_model.conv1.weight
    model = build_model("resnet_thin", 5, 3, modality=modality)
    load_weights(
        model, build_model("resnet_thin", 5, 3).state_dict() | {"base_model.conv1.weight": rgb}, "x", tune=True
    )
    expected = rgb if modality == "DI" else rgb.mean(1, keepdim=True).expand(-1, 2, -1, -1)
    torch.testing.assert_close(model.base_model.conv1.weight, expected)


def test_the_four_streams_on_resnext50_are_as_large_as_published():
    sizes = {}
    for modality, num_class in (("SI", 101), ("DI", 101), ("OF", 101), ("DOF", 101), ("SI", 51), ("DOF", 51)):
        with torch.device("meta"):
            model = build_model("resnext50", num_class, 10, modality=modality, cluster="none", temporal_max=True)
        sizes[modality, num_class] = sum(p.numel() for p in model.parameters())
    assert [sizes[modality, 101] for modality in ("SI", "DI", "OF", "DOF")] == [23186853] * 2 + [23183717] * 2
    assert (sizes["SI", 51], sizes["DOF", 51]) == (23084403, 23081267)


def test_the_first_convolution_of_flow_learns_faster():
    for modality, group in (("RGB", "weights"), ("RGBDiff", "weights"), ("DOF", "weights"), ("Flow", "fast weights")):
        model = build_model("resnet_thin", 5, 3, modality=modality)
        (name,) = [
            g["name"] for g in parameter_groups(model) if any(p is model.base_model.conv1.weight for p in g["params"])
        ]
        assert name == group
