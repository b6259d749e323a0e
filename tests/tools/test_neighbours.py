"""tools/neighbours.py: from videos to their neighbours, as a user runs it."""

import shlex

import numpy as np
import pytest
from PIL import Image
from videos import make_video

TOOL = "tools/neighbours.py"
EXTRACT = shlex.split("--weights none --arch resnet_thin --input_size 32 --at pool --frames 3 --device cpu")


def test_a_data_set(run_program, tiny_data, tmp_path):
    data = ["movingmnist", "RGB", "--root_path", tiny_data]
    assert run_program("tools/extract_features.py", *data, *EXTRACT, "--out", "f").code == 0
    ran = run_program(TOOL, "f", "val/left_0", "-k", "3", "--sheet", "n.png", "--videos", tiny_data, "--strip", 4)
    lines = ran.out.splitlines()
    assert ran.code == 0 and lines[0] == "12 videos of width 96; cosine to each:", ran
    assert lines[1] == "1.000  val/left_0" and lines[5:] == ["wrote n.png"]
    cosines = [float(line.split()[0]) for line in lines[1:5]]
    assert cosines == sorted(cosines, reverse=True)
    with Image.open(tmp_path / "n.png") as sheet:
        assert sheet.width == 4 + 4 * 100


def test_a_folder_of_files_and_frames_without_lists(run_program, tiny_data, tmp_path):
    folder = tmp_path / "videos"
    for seed, name in enumerate(("a/one.mp4", "a/two.mp4")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make_video(folder / name, 5 + seed)
    (folder / "b").symlink_to(tiny_data / "val/left_0")
    assert run_program("tools/extract_features.py", "videos", "RGB", *EXTRACT).code == 0
    ran = run_program(TOOL, "videos_features", "b", "--sheet", "n.png", "--vectors", "all.npy")
    assert ran.code == 0 and "wrote all.npy and all.txt\nwrote n.png\n" in ran.out, ran
    vectors = np.load(tmp_path / "all.npy")
    assert vectors.dtype == np.float32 and vectors.shape == (3, 96)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (tmp_path / "all.txt").read_text() == "a/one.mp4\na/two.mp4\nb\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("nowhere a", "nowhere holds no features"),
        ("f v_02", "f holds no features of v_02; of v_01, say, it does"),
        ("f v_01 --sheet n.png", "is no folder of videos; give it with --videos"),
        ("f v_01 --sheet n.png --videos f", "f/v_01 holds no frames to show"),
        ("f v_01 --sheet n.png --videos .", "v_01 holds no frames to show"),
        ("f v_01 --strip 4", "--strip has no effect without --sheet"),
        ("f v_01 --vectors f/v_01.features.npy", "are of single videos; take another name"),
        ("f v_01 --vectors f.npy", "f.txt cannot be written"),
        ("f v_01 --sheet no.txt", "--sheet no.txt must end in .png"),
    ],
)
def test_what_cannot_be(run_program, tmp_path, words, error):
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f/v_01.features.npy", np.ones((2, 4), np.float16))
    (tmp_path / "f.txt").mkdir()
    assert error in run_program(TOOL, *words.split()).error
    assert not (tmp_path / "f.npy").exists()
    assert not (tmp_path / "n.png").exists()
