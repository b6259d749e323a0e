"""What the blocks of README.md and docs/ find in their folder when tests run them: `NEEDS`, by the name in the mark.

Each function fills a folder as a user's would be, as small as programs take it, and may return names for Python blocks.
Datasets are in their official layout, with official names and a few videos.
"""

import functools
import io
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import know_tiny, tiny_checkpoint
from PIL import Image
from videos import make_video

from ops.data.specs import DATASETS, DESCRIPTION, TRAIN_LIST, VAL_LIST, DatasetSpec
from ops.models import build_model
from ops.move4mnist.generator import PRESETS, make_dataset
from ops.options.config import Config, plain
from ops.training import checkpoint as ckpt
from tools import export

FRAMES = 12

MINE = DatasetSpec(2, "img_{:05d}.jpg")


@functools.cache
def jpeg(channels: int) -> bytes:
    """A small picture."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, channels), np.uint8).squeeze()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


@functools.cache
def clip(ending: str) -> bytes:
    """A small video file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"clip{ending}")
        make_video(path, FRAMES)
        return path.read_bytes()


def write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_clips(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        write(folder / name, clip(Path(name).suffix))


def write_frames(folder: Path, spec: DatasetSpec) -> None:
    for number in range(spec.first_frame, spec.first_frame + FRAMES):
        write(folder / spec.image_tmpl.format(number), jpeg(3))


def write_dataset(root: Path, spec: DatasetSpec) -> None:
    """Frame folders and their lists."""
    for split, name in (("train", TRAIN_LIST), ("val", VAL_LIST)):
        for label in (0, 1):
            write_frames(root / f"{split}/{label}", spec)
        write(root / name, "".join(f"{split}/{label} {FRAMES} {label}\n" for label in (0, 1)))


def write_checkpoint(path: Path, dataset: str, spec: DatasetSpec, **given) -> None:
    """An untrained model as main.py saves it."""
    config = Config(
        **{
            "dataset": dataset,
            "modality": "RGB",
            "arch": "resnet_thin",
            "input_size": 32,
            "num_segments": 4,
            "shift": True,
            "num_class": spec.num_class,
        }
        | given
    )
    model = build_model(num_class=spec.num_class, **config.model_options)
    ckpt.save_checkpoint(path, {"state_dict": model.state_dict(), "config": plain(config)})


# --- made-up data and models -----------------------------------------------------------------------------------------


def movingmnist(folder: Path) -> None:
    tiny = replace(PRESETS["standard"], num_frames=20, main=(8, 10), distractor=(3, 4))
    make_dataset(folder / "data/movingmnist", tiny, num_train=8, num_val=4, workers=1, digits="glyphs")


def videos(folder: Path) -> None:
    write_clips(
        folder / "videos",
        [f"{name}/{video}.mp4" for name in ("some", "other") for video in ("video", "v_002", "v_003")],
    )


def mine(folder: Path) -> None:
    write_dataset(folder / "data/mine", MINE)
    description = {"num_class": MINE.num_class, "image_tmpl": MINE.image_tmpl}
    write(folder / "data/mine" / DESCRIPTION, json.dumps(description))


def datasets(folder: Path) -> None:
    for name, spec in DATASETS.items():
        write_dataset(folder / "data" / name, spec)


def tsm(folder: Path) -> None:
    for name, spec in DATASETS.items():
        write_checkpoint(folder / f"checkpoint/TSM_{name}_RGB_thin/{ckpt.BEST}", name, spec, cluster="none")


def clusters(folder: Path) -> None:
    for name, spec in (DATASETS | {"mine": MINE}).items():
        write_checkpoint(folder / f"checkpoint/TSM_{name}_RGB_thin/{ckpt.BEST}", name, spec)


def hub(folder: Path) -> None:
    """A folder for hubs."""
    weights = folder / "w.pth"
    write_checkpoint(weights, "mine", MINE)
    export.main(["--weights", str(weights), "--to", "safetensors", "--out", str(folder / "models/mine")])


def onnx(folder: Path) -> None:
    """A graph of a small network."""
    with pytest.MonkeyPatch.context() as patch:
        know_tiny(patch)
        weights = tiny_checkpoint(folder / "w.pth", cluster="slope")
        export.main(["--weights", str(weights), "--to", "onnx", "--out", str(folder / "model.onnx"), "--clips", "0"])


def pictures(folder: Path) -> dict:
    return {"pictures": np.random.default_rng(0).integers(0, 255, (12, 16, 16, 3), np.uint8)}


def long(folder: Path) -> None:
    """Frames of several videos in one folder."""
    for number in range(40):
        write(folder / f"data/long/{number}.jpg", jpeg(3))


def moving_model(folder: Path) -> None:
    write_checkpoint(
        folder / f"checkpoint/TSM_movingmnist_RGB_thin/{ckpt.BEST}",
        "movingmnist",
        DATASETS["movingmnist"],
        cluster="slope",
    )


def fusion(folder: Path) -> None:
    spec = DATASETS["ucf101"]
    for modality in ("RGB", "Flow"):
        write_checkpoint(folder / f"{modality.upper()}.pth.tar", "ucf101", spec, modality=modality, cluster="none")
    for direction in "xy":
        for label in (0, 1):
            for number in range(1, FRAMES + 1):
                write(folder / f"data/ucf101/val/{label}" / spec.flow_tmpl.format(direction, number), jpeg(1))


def splits(folder: Path) -> None:
    """Three splits of UCF101, and two models trained on each."""
    spec = DATASETS["ucf101"]
    for number, paths in ((2, ("train/0", "val/1")), (3, ("val/0", "train/1"))):
        lines = [f"{path} {FRAMES} {label}\n" for label, path in enumerate(paths)]
        write(folder / f"data/ucf101/val_split{number}_videofolder.txt", "".join(lines))
    for number in (1, 2, 3):
        write_checkpoint(folder / f"slope{number}.pth.tar", "ucf101", spec, cluster="slope", seed=number)
        write_checkpoint(folder / f"tsm{number}.pth.tar", "ucf101", spec, cluster="none", seed=number)


def activations(folder: Path) -> dict:
    lengths = torch.tensor([10, 20])
    return {"activations": torch.randn(30, 6, 4, 4).relu(), "lengths": lengths}


# --- datasets as they are handed out ---------------------------------------------------------------------------------


def raw_ucf101(folder: Path) -> None:
    classes = [
        "ApplyEyeMakeup",
        *(f"Class{i:03d}" for i in range(2, 37)),
        "HandstandPushups",
        *(f"Class{i:03d}" for i in range(38, 102)),
    ]
    splits = folder / "data/ucf101/ucfTrainTestlist"
    write(splits / "classInd.txt", "".join(f"{i} {name}\r\n" for i, name in enumerate(classes, 1)))
    write(splits / "trainlist01.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\n")
    write(splits / "testlist01.txt", "HandstandPushups/v_HandStandPushups_g01_c01.avi\r\n")
    write_clips(
        folder / "videos/ucf101/UCF-101",
        ["ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "HandstandPushups/v_HandstandPushups_g01_c01.avi"],
    )


def raw_hmdb51(folder: Path) -> None:
    odd = "A&B_#1_(x);[y]+@~!_brush_hair_u_cm_np1_ri_goo_0.avi"
    splits = folder / "data/hmdb51/testTrainMulti_7030_splits"
    for name in ["brush_hair", *(f"class{i:02d}" for i in range(50))]:
        write(splits / f"{name}_test_split1.txt", f"{name}.avi 1 \n")
    write(splits / "brush_hair_test_split1.txt", f"brush_hair.avi 1 \n{odd} 2 \nunused.avi 0 \n")
    write_clips(folder / "videos/hmdb51/brush_hair", ["brush_hair.avi", odd])


def raw_breakfast(folder: Path) -> None:
    write_clips(
        folder / "videos/breakfast",
        [
            "P03/cam01/P03_cereals.avi",
            "P03/stereo/P03_cereals_ch0.avi",
            "P03/stereo/P03_cereals_ch1.avi",
            "P47/cam01/P47_tea.avi",
        ],
    )


def semicolons(folder: Path, dataset: str, prefix: str) -> None:
    root, spec = folder / "data" / dataset, DATASETS[dataset]
    labels = ["Zooming, quickly", *(f"Label {i:03d}" for i in range(1, spec.num_class))]
    write(root / f"{prefix}-labels.csv", "".join(f"{label}\n" for label in labels))
    write(root / f"{prefix}-train.csv", "7;Zooming, quickly\n")
    write(root / f"{prefix}-validation.csv", "8;Label 001\n")
    for video in "78":
        write_frames(root / f"20bn-{prefix}/{video}", spec)


def raw_something(folder: Path) -> None:
    semicolons(folder, "something", "something-something-v1")


def raw_jester(folder: Path) -> None:
    semicolons(folder, "jester", "jester-v1")


def raw_somethingv2(folder: Path) -> None:
    root = folder / "data/somethingv2/labels"
    write(root / "labels.json", json.dumps({f"Holding something {i}": str(i) for i in range(174)}))
    for name, video in (("train", "7"), ("validation", "8")):
        write(root / f"{name}.json", json.dumps([{"id": video, "template": f"Holding [something] {video}"}]))
    write_clips(folder / "videos/somethingv2/20bn-something-something-v2", ["7.webm", "8.webm"])


def raw_kinetics(folder: Path) -> None:
    rows = [f"class {i:03d},video{i:06d},{i},{i + 10},train,0" for i in range(399)] + ["air drumming,abc,3,13,train,0"]
    header = "label,youtube_id,time_start,time_end,split,is_cc"
    annotations = folder / "data/kinetics/annotations"
    write(annotations / "kinetics_train.csv", "\n".join([header, *rows]))
    write(annotations / "kinetics_val.csv", f"{header}\nair drumming,-_x,0,10,val,0\n")
    write_clips(
        folder / "videos/kinetics",
        ["train/air drumming/abc_000003_000013.mp4", "val/air drumming/-_x_000000_000010.mp4"],
    )


def raw_egogestar(folder: Path) -> None:
    write_clips(folder / "videos/egogestar/testvideo", [f"testvideo_up_{i}.mp4" for i in range(1, 8)])


Need = Callable[[Path], dict | None]
NEEDS: dict[str, Need] = {
    need.__name__: need
    for need in (
        movingmnist,
        videos,
        mine,
        datasets,
        tsm,
        clusters,
        hub,
        onnx,
        pictures,
        long,
        moving_model,
        fusion,
        splits,
        activations,
        raw_ucf101,
        raw_hmdb51,
        raw_breakfast,
        raw_something,
        raw_jester,
        raw_somethingv2,
        raw_kinetics,
        raw_egogestar,
    )
}
