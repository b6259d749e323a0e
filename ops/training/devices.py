"""The device of a run: chosen once, when the program starts, and passed on as an argument."""

import os

import torch

from ops.errors import InputError
from ops.training.processes import ALONE, Processes


def pick_device(name: str | None, deterministic: bool = False, processes: Processes = ALONE) -> torch.device:
    """The named device, else cuda, else mps, else cpu; of several GPUs this process's. InputError if it is not there.

    A GPU becomes the current one, so that whatever asks CUDA without naming a device is told of this one. With
    `deterministic`, operations that may give other bits the next time are replaced by slower ones.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
        torch.use_deterministic_algorithms(True)
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    name = processes.own_device(name)
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)
        torch.ones(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:100]
        raise InputError(f"--device {name} cannot be used here ({reason}); use --device cpu or leave it out") from None
    return device
