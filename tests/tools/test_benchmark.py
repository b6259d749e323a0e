"""`tools/benchmark.py` runs from the command line and keeps what it prints; times are looked at by people."""

import json
from argparse import Namespace

import pytest
import torch
from videos import make_video

from ops.clustering import TemporalClustering
from ops.errors import InputError
from tools import benchmark
from tools.benchmarks import clustering, step, write_video

COLUMNS = ["shape", "pass", "floor ms", "loop ms", "ours ms", "ours/floor", "loop/ours"]


def test_clustering_as_a_program(run_process, tmp_path):
    words = [
        "clustering",
        "--shape",
        "2x6x3x4x4",
        "1x9x2x5x5",
        "--num-segments",
        "3",
        "--repeat",
        "1",
        "--method",
        "cumulative",
        "--json",
        "times.json",
    ]
    done = run_process(*words, program="tools/benchmark.py")
    assert (done.code, done.err) == (0, "")
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.out.splitlines()[:-1]]
    assert table[0] == COLUMNS
    assert [row[:2] for row in table[2:]] == [
        [shape, name] for shape in ("2x6x3x4x4", "1x9x2x5x5") for name in ("forward", "with backward")
    ]
    rows = json.loads((tmp_path / "times.json").read_text())["rows"]
    assert [list(row) for row in rows] == [COLUMNS] * 4
    for row in rows:
        assert row["ours ms"] / row["floor ms"] == pytest.approx(row["ours/floor"])
        assert row["loop ms"] / row["ours ms"] == pytest.approx(row["loop/ours"])


def test_memory_in_a_process_of_its_own(tmp_path, capsys):
    words = ["--frames", "9", "20", "--size", "32", "--arch", "resnet_thin", "--stem_chunk", "8", "--num_segments", "4"]
    words += ["--freeze_stem_bn"]
    benchmark.main(["memory", *words, "--json", str(tmp_path / "m.json")])
    rows = json.loads((tmp_path / "m.json").read_text())["rows"]
    assert [row["frames"] for row in rows] == ["0", "9", "20"]
    assert all(50 < row["peak MB"] < 4000 for row in rows)
    assert rows[2]["peak/first"] == pytest.approx(rows[2]["peak MB"] / rows[1]["peak MB"])
    assert "| 20     |" in capsys.readouterr().out
    with pytest.raises(InputError, match="takes --device cpu only"):
        benchmark.main(["memory", "--device", "cuda"])
    with pytest.raises(InputError, match="does not pass in chunks; add --freeze_stem_bn"):
        benchmark.main(["memory", "--stem_chunk", "8"])


@pytest.mark.parametrize("method", clustering.LOOP_STARTS)
def test_the_loop_is_what_it_is_compared_with(method):
    x = torch.randn(3 * 14, 5, 4, generator=torch.Generator().manual_seed(1))
    expected, _ = TemporalClustering(6, method)(x, torch.tensor([14, 8, 20]))
    torch.testing.assert_close(clustering.loop_clustering(x, [14, 8, 20], 6, method), expected)


def test_help_shows_an_example(capsys):
    for words in ([], list(benchmark.BENCHMARKS)[:1]):
        with pytest.raises(SystemExit):
            benchmark.main([*words, "--help"])
        assert "example:\n  python tools/benchmark.py clustering" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        (["--shape", "2x6x3x4"], "'2x6x3x4' is not NxTxCxHxW, for example 16x32x64x56x56"),
        (["--repeat", "0"], "0 must be at least 1"),
    ],
)
def test_malformed_options(capsys, words, message):
    with pytest.raises(SystemExit):
        benchmark.main(["clustering", *words])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["--num_segments", "7", "--shape", "2x6x3x4x4"], "the videos of 2x6x3x4x4 have 1 to 6 clusters"),
        (["--json", f"{__file__}/times.json"], "times.json cannot be written .*; give another place with --json"),
    ],
)
def test_impossible_wishes(words, message):
    with pytest.raises(InputError, match=message):
        benchmark.main(["clustering", *words])


@pytest.mark.parametrize("frozen", [True, False])
def test_steps_and_their_parts(tmp_path, frozen):
    """In chunks only where BatchNorm of the stem is frozen."""
    words = ["--frames", "5", "8", "--size", "32", "--arch", "resnet_thin", "--num_segments", "4", "--repeat", "1"]
    kinds = (
        [*step.KINDS] if frozen else ["TSM, all frames", "TSM, sampled", "slope", "cumulative", "cumulative, a share"]
    )
    if frozen:
        words.append("--freeze_stem_bn")
    benchmark.main(["step", *words, "--json", str(tmp_path / "step.json")])
    rows = json.loads((tmp_path / "step.json").read_text())["rows"]
    assert [(row["frames"], row["kind"]) for row in rows] == [(t, kind) for t in ("5", "8") for kind in kinds]
    for row in rows:
        parts = [row[f"{part} ms"] for part in step.PARTS]
        assert min(parts) > 0 and row["step ms"] == pytest.approx(sum(parts[1:]))
    assert [row["step/TSM"] for row in rows if row["kind"] == "TSM, all frames"] == [1, 1]
    assert [row["step/sampled"] for row in rows if row["kind"] == "TSM, sampled"] == [1, 1]


def test_a_step_trains_on_every_frame(tmp_path):
    """The kinds differ in what passes the trunk, not in what is loaded."""
    write_video(tmp_path / "video", step.SPEC, 8, 48, 36)
    args = Namespace(arch="resnet_thin", num_segments=4, freeze_stem_bn=True, stem_chunk=3, size=32, frame_keep=0.75)
    loaded = {}
    for kind in step.KINDS:
        _, _, load, _ = step.prepare(args, kind, 8, tmp_path, torch.device("cpu")).args
        loaded[kind] = load().frames
    assert len(loaded.pop("TSM, sampled")) == 4
    shares = [loaded.pop(kind) for kind in ("cumulative, a share", "cumulative, a share, representative")]
    assert torch.equal(*shares) and len(shares[0]) == 6
    assert all(torch.equal(frames, loaded["slope"]) and len(frames) == 8 for frames in loaded.values())


def test_predictions_while_frames_come(tmp_path):
    words = ["--arch", "resnet_thin", "--size", "16", "--frames", "12", "--window", "8", "--num_segments", "4"]
    benchmark.main(["live", *words, "--repeat", "1", "--json", str(tmp_path / "live.json")])
    rows = json.loads((tmp_path / "live.json").read_text())["rows"]
    assert len(rows) == 5 and rows[1]["kind"] == "slope"
    assert all(row["frames/s"] == pytest.approx(1000 / row["ms a frame"]) for row in rows)


def test_loader_of_ones_own_videos(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for i in range(3):
        make_video(tmp_path / f"in/{i}.mp4", 5 + i)
    words = ["loader", "--videos", str(tmp_path / "in"), "--clips", "2", "--repeat", "1"]
    benchmark.main([*words, "--json", str(tmp_path / "l.json")])
    rows = json.loads((tmp_path / "l.json").read_text())["rows"]
    assert [row["frames"] for row in rows] == ["2 videos, all 12 -> 224"] * 2 + ["2 videos, 16 each -> 224"] * 2
    assert [row["from"] for row in rows] == ["folder", "file"] * 2
    assert rows[0]["ratio to folder"] == rows[2]["ratio to folder"] == 1
    with pytest.raises(InputError, match="there is no video file"):
        benchmark.main(["loader", "--videos", str(tmp_path / "cache")])


def test_loader_against_pil(tmp_path):
    """The crops are PIL's: pixels differ by less than 2 levels on average, where frames keep their size by far less."""
    words = ["--frames", "5", "--sparse_frames", "20", "--clips", "2", "--repeat", "1"]
    benchmark.main(["loader", *words, "--json", str(tmp_path / "l.json")])
    rows = json.loads((tmp_path / "l.json").read_text())["rows"]
    tables = [["PIL", "folder", "zip", "mp4"]] * 3 + [["PIL", "folder", "zip", "raw"]]
    tables += [["PIL", "folder", "mp4", "mp4, keys"]]
    assert [row["from"] for row in rows] == sum(tables, [])
    for place, row in enumerate(rows):
        pil, folder = rows[place // 4 * 4 : place // 4 * 4 + 2]
        assert row["frames/s"] / pil["frames/s"] == pytest.approx(row["ratio to PIL"])
        assert row["frames/s"] / folder["frames/s"] == pytest.approx(row["ratio to folder"])
        if row["from"].startswith("mp4"):
            assert row["bytes/frame"] < folder["bytes/frame"] / 2 and row["difference"] < 6
        else:
            assert row["difference"] < (2 if row["frames"].endswith("colour -> 64") else 0.3)
    assert rows[15]["bytes/frame"] == pytest.approx(64 * 64 + 128 / 5)
    assert rows[-1]["frames"] == "340x256 colour -> 224, 16 of 20"
    with pytest.raises(InputError, match="loader takes --device cpu only"):
        benchmark.main(["loader", "--device", "cuda"])
