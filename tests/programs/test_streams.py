"""SI, DI, OF and DOF through the command line: trained, clustered, evaluated, and fused in one command."""

import csv
import re

import numpy as np
import pytest
from PIL import Image

from ops.training import checkpoint as ckpt

FLOW = ["--image_tmpl", "flow_{}_{}.png"]
QUICK = ["--arch", "resnet_thin", "--input_size", "32", "--num_segments", "4", "--pretrain", "none", "--epochs", "1"]
QUICK += ["-b", "4", "--npb", "--lr", "0.02"]
ON_CPU = ["-j", "0", "--device", "cpu"]
TOP1 = re.compile(r"Testing Results: Prec@1 (\S+) ")


@pytest.fixture(scope="module")
def with_flow(tmp_path_factory, tiny_data):
    """The tiny data set with flow beside its frames: as bright as the digits' class says, with some noise."""
    root = tmp_path_factory.mktemp("flow") / "movingmnist"
    rng = np.random.default_rng(0)
    for name in ("train_videofolder.txt", "val_videofolder.txt"):
        root.mkdir(exist_ok=True)
        (root / name).write_text((tiny_data / name).read_text())
        for line in (tiny_data / name).read_text().splitlines():
            path, num_frames, label = line.split()
            (root / path).mkdir(parents=True)
            for frame in range(int(num_frames)):
                (root / path / f"{frame}.jpg").symlink_to(tiny_data / path / f"{frame}.jpg")
                for axis in "xy":
                    level = 128 + (40 if axis == "xxyy"[int(label)] else 0) * (-1) ** int(label)
                    pixels = level + rng.integers(-3, 4, (36, 36))
                    Image.fromarray(pixels.astype(np.uint8)).save(root / path / f"flow_{axis}_{frame}.png")
    return root


STREAMS = {
    "SI": [],
    "DI": ["--cluster", "slope", "--frame_stride", "2"],
    "OF": [*FLOW, "--shift", "--cluster", "none"],
    "DOF": [*FLOW, "--cluster", "none", "--temporal_max"],
}
FRAMES = {"SI": "80", "DI": "24", "OF": "16", "DOF": "16"}  # 4 videos of 20 frames; 11 windows, 6 at a stride of 2


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    return {}, tmp_path_factory.mktemp("streams")


@pytest.mark.parametrize("modality", STREAMS)
def test_each_stream_trains_and_evaluates_alike(run_program, with_flow, scores, tmp_path, modality):
    words = ["movingmnist", modality, "--root_path", with_flow, *ON_CPU]
    ran = run_program("main.py", *words, *QUICK, *STREAMS[modality])
    assert ran.code == 0, ran.err
    (folder,) = (tmp_path / "checkpoint").iterdir()
    assert folder.name.startswith(f"TSM_movingmnist_{modality}_resnet_thin")
    assert folder.name.count("_tmax_") == (modality == "DOF")
    found, kept = scores
    weights = kept / f"{modality}.pth.tar"
    (folder / ckpt.LAST).rename(weights)
    tmpl = FLOW if modality in ("OF", "DOF") else []
    again = run_program("main.py", "--evaluate", *words, "--resume", weights, *tmpl)
    out = ["--weights", weights, "--scores", kept / f"{modality}.npz"]
    alone = run_program("test_models.py", "movingmnist", "--root_path", with_flow, *ON_CPU, *tmpl, *out)
    with next((tmp_path / "log").glob("*/log.csv")).open() as file:
        row = list(csv.DictReader(file))[-1]
    assert (row["split"], row["frames"]) == ("val", FRAMES[modality])
    assert [float(TOP1.findall(ran.out)[-1]) for ran in (again, alone)] == [float(row["top1"])] * 2
    with np.load(kept / f"{modality}.npz") as file:
        found[modality] = file["scores"]


def test_four_streams_in_one_command(run_program, with_flow, scores):
    found, kept = scores
    if found.keys() != STREAMS.keys():
        pytest.skip("needs the four tests above")
    weights = ",".join(str(kept / f"{modality}.pth.tar") for modality in STREAMS)
    words = ["movingmnist", "--root_path", with_flow, *ON_CPU, *FLOW, "--weights", weights, "--coeff", "1,2,1.5,.5"]
    ran = run_program("test_models.py", *words, "--scores", kept / "all.npz")
    assert ran.code == 0 and ran.out.count("\nprotocol") == 4 and "temporal max; coefficient 0.5" in ran.out, ran
    expected = (found["SI"] + 2 * found["DI"] + 1.5 * found["OF"] + 0.5 * found["DOF"]) / 5
    with np.load(kept / "all.npz") as file:
        np.testing.assert_allclose(file["scores"], expected, rtol=1e-4, atol=1e-5)
