"""Each head through the command line: it trains, evaluates, goes on in the same bits, streams, and has processes."""

import csv
import re
import shlex

import pytest
import torch

from ops.heads import videograph
from ops.training import checkpoint as ckpt

RESULT = re.compile(r"Prec@1 ([\d.]+) .*Loss ([\d.]+)")

THIN = shlex.split(
    "movingmnist RGB --arch resnet_thin --input_size 32 --num_segments 4 --epochs 1 -b 2 -j 0 --npb --lr 0.01"
    " --device cpu --save_every_steps 3"
)
HEADS = [
    "--consensus_type TRN",
    "--consensus_type TRNmultiscale --cluster none",
    "--consensus_type TRNmultiscale --trn_mlps per_tuple --trn_tuples all --gd 20",
    "--consensus_type ActionVLAD --input_size 64",
    "--consensus_type VideoGraph --optimizer adam --eps 1e-4",
    "--consensus_type MLP",
    "--consensus_type ActionVLAD --vlad_form breakfast --cluster none",
]


@pytest.fixture(autouse=True)
def a_thin_video_graph(monkeypatch):
    monkeypatch.setattr(videograph, "CHANNELS", 16)
    monkeypatch.setattr(videograph, "NODES", 12)


def weights_of(path):
    return ckpt.load_checkpoint(path)["state_dict"]


def only(folder, name=ckpt.LAST):
    (path,) = folder.glob(f"checkpoint/*/{name}")
    return path


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def validated(folder):
    (path,) = folder.glob("log/*/log.csv")
    with path.open(newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["split"] == "val"]
    return row


@pytest.mark.parametrize("words", HEADS)
def test_a_run_goes_on_in_the_same_bits_and_evaluates_in_chunks(run_main, run_program, tiny_data, tmp_path, words):
    words = [*THIN, "--root_path", tiny_data, *words.split()]
    ran = run_main(*words)
    assert ran.code == 0, ran
    weights, row = weights_of(only(tmp_path)), validated(tmp_path)
    within = only(tmp_path, ckpt.PREVIOUS)
    assert ckpt.load_checkpoint(within)["meters"]["steps"] == 3
    ran = run_main(*words, "--resume", within, "--overwrite")
    assert ran.code == 0 and same(weights, weights_of(only(tmp_path))), ran
    data = ["movingmnist", "--root_path", tiny_data, "-j", "0", "--device", "cpu", "-b", "4"]
    expected = [pytest.approx(float(row[name]), abs=2e-5) for name in ("top1", "loss")]
    for program, flags in (("main.py", ["RGB", "--evaluate", "--resume"]), ("test_models.py", ["--weights"])):
        flags = [*flags, only(tmp_path)]
        if "none" not in words:
            flags += ["--stem_chunk", 3]
        ran = run_program(program, *data, *flags)
        assert ran.code == 0, ran
        assert [float(value) for value in RESULT.search(ran.out).groups()] == expected


STAGES = ["--consensus_type", "ActionVLAD", "--input_size", "64"]


def test_the_two_stages_of_actionvlad(run_main, run_processes, tiny_data, tmp_path):
    """Words come from the training videos, the same in any number of processes; only stage 2 trains them."""
    words = [*THIN, "--root_path", tiny_data, *STAGES]
    ran = run_main(*words, "--vlad_stage", 1, "--freeze_backbone", "--stem_chunk", 3)
    assert ran.code == 0 and ran.out.count("head      ActionVLAD starts from 8 training videos\n") == 1, ran
    first = only(tmp_path)
    assert "ActionVLAD_vlad_stage-1_segment4" in str(first)
    found = {name: weights_of(first)[f"consensus.{name}"] for name in ("words", "assign", "offset")}
    torch.testing.assert_close(found["offset"], -1000 * found["words"].square().sum(1))
    ran = run_main(*words, "--tune_from", first, "--root_model", "two")
    assert ran.code == 0 and "starts from" not in ran.out and "none new; classifier kept" in ran.out, ran
    (second,) = tmp_path.glob(f"two/*/{ckpt.LAST}")
    trained = weights_of(second)["consensus.words"]
    assert not torch.equal(trained, found["words"])
    torch.testing.assert_close(trained, found["words"], rtol=0.1, atol=0.1)

    ran = run_processes(2, *words, "--vlad_stage", 1, "--freeze_backbone", "--stem_chunk", 3, "--root_model", "many")
    assert [one.code for one in ran] == [0, 0] and ran[0].out.count("starts from 8 training videos") == 1, ran
    (many,) = tmp_path.glob(f"many/*/{ckpt.LAST}")
    for name in found:
        torch.testing.assert_close(weights_of(many)[f"consensus.{name}"], found[name])


def test_few_videos_make_few_places(run_main, tiny_data):
    ran = run_main(*THIN, "--root_path", tiny_data, "--consensus_type", "ActionVLAD")
    assert ran.error == (
        "--consensus_type ActionVLAD cannot start from the training list: 64 words want as many places, and the"
        " training videos show 32"
    )


def test_one_video_is_no_batch_for_a_batch_norm_over_videos(run_main, tiny_data):
    ran = run_main(*THIN, "--root_path", tiny_data, *HEADS[-1].split(), "-b", 7)
    assert ran.error.startswith(
        "a batch of this run leaves one video to a process, and --consensus_type ActionVLAD has"
    )


def test_two_processes_draw_each_their_own(run_processes, tiny_data, tmp_path):
    """Of a head that draws in training; others train in several processes as in one, see tests/training."""
    ran = run_processes(2, *THIN, "--root_path", tiny_data, "-b", 4, *HEADS[2].split())
    assert [one.code for one in ran] == [0, 0] and not any("error" in one.err for one in ran), ran
    assert all(value.isfinite().all() for value in weights_of(only(tmp_path)).values())
