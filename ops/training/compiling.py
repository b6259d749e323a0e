"""Compiled networks (`--compile`)."""

import os
import shutil
import sys

import torch

from ops.errors import InputError
from ops.models import TSN
from ops.streaming import training_norms


def compile_network(model: TSN, device: torch.device, backend: str = "inductor") -> None:
    """`--compile`: stem and trunk become a compiled program each, which the second length that comes frees of lengths.

    Modules and the names of weights stay. A stem in chunks whose BatchNorms train changes their momentum from chunk to
    chunk: it is left as it is. Raises InputError where programs cannot be compiled.
    """
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if device.type == "cpu" and not shutil.which(compiler):
        raise InputError(
            f"--compile needs a C++ compiler, and there is no {compiler}; install one, name yours in the"
            " variable CXX, or leave --compile out"
        )
    try:
        torch.compile(lambda x: x.sin() + 1, backend=backend)(torch.ones(8, device=device))
    except Exception as error:  # whatever compilers and drivers raise
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"--compile does not work here ({reason}); leave it out") from None
    torch._dynamo.config.cache_size_limit = 64  # training, evaluation and chunks have programs of their own
    if not (model.streaming and training_norms(model.train())):
        model.run_stem = torch.compile(model.run_stem, backend=backend)
    model.classify = torch.compile(model.classify, backend=backend)
