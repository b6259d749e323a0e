"""Files of weights that need trust, through every program that loads them."""

import json
import shlex

import numpy as np
import pytest
import torch

from ops.models import build_model
from ops.options.config import Config, plain

DATA = "movingmnist RGB --root_path {data}"
NEW = f"{DATA} --arch resnet_thin --num_segments 4 --epochs 2 -b 4 -j 0 --input_size 32 --npb --device cpu"
PROGRAMS = {
    "main.py --resume": f"{DATA} --epochs 2 -b 4 -j 0 --device cpu --root_model elsewhere --resume x.pth",
    "main.py --evaluate": f"{DATA} -e -j 0 --device cpu --resume x.pth",
    "main.py --resume auto": f"{NEW} --resume auto",
    "main.py --tune_from": f"{NEW} --suffix tuned --tune_from x.pth",
    "main.py --pretrain": f"{NEW} --suffix tuned --pretrain x.pth",
    "test_models.py": f"{DATA} --weights x.pth -j 0 --device cpu",
    "tools/predict.py": "{data}/val/up_0 --weights x.pth --device cpu",
    "tools/explain.py": "{data}/val/up_0 --weights x.pth --device cpu --out picture.png",
    "tools/report.py": "run --weights x.pth --device cpu",
    "tools/draw_clusters.py": "{data} --weights x.pth --out pictures --videos val/up_0 --device cpu",
    "tools/compare_runs.py": "run --picture x.png --video {data}/val/up_0 --weights x.pth",
    "tools/gradient_agreement.py": f"{DATA} --weights x.pth --num_videos 4 --num_pairs 2 --device cpu",
}


@pytest.fixture
def file(tmp_path):
    """A checkpoint as main.py writes it, whose best accuracy is a number of numpy's."""
    config = Config("movingmnist", "RGB", arch="resnet_thin", input_size=32, num_segments=4, epochs=2, npb=True)
    model = build_model(num_class=4, **config.model_options)
    content = {"epoch": 1, "num_class": 4, "state_dict": model.state_dict(), "config": plain(config)}
    for path in (tmp_path / "x.pth", tmp_path / config.run_folder / "ckpt.pth.tar"):
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content | {"best_prec1": np.float64(63.2)}, path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/args.json").write_text(json.dumps(plain(config)))
    (tmp_path / "run/log.csv").write_text("epoch,split,top1,seconds,videos,frames\n0,val,1,1,1,1\n")


@pytest.mark.parametrize("program", PROGRAMS)
def test_who_asks_for_trust_can_be_given_it(run_program, tiny_data, file, program):
    if "picture" in PROGRAMS[program]:
        pytest.importorskip("matplotlib")
    words = [program.split()[0], *shlex.split(PROGRAMS[program].format(data=tiny_data))]
    ran = run_program(*words)
    assert ran.code == 2 and "numpy" in ran.err and "add --trust_checkpoint" in ran.err, ran
    ran = run_program(*words, "--trust_checkpoint")
    assert ran.code == 0 and "error" not in ran.err, ran
