"""How a step of the optimizer is made: in which precision, from how many batches, by how many processes.

The gradient of a step is that of the mean loss over the videos of its batches, of all processes: each process adds up
the gradients of its videos' losses, and the sum over processes is divided by the number of videos that were there.
"""

import inspect
import math
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from ops.data.dataset import VideoBatch
from ops.errors import InputError
from ops.models import TSN
from ops.training.processes import ALONE, Processes, share_statistics
from ops.training.sync_norm import SYNCHRONISED

AMP = {"bf16": torch.bfloat16, "fp16": torch.float16, "off": None}


def video_losses(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each video, (n,), in nats: of scores (n, K), or the mean over representations of (n, g, K)."""
    shape = scores.shape[:-1]  # (n,) or (n, g)
    labels = labels.view(-1, *[1] * (len(shape) - 1)).expand(shape)
    losses = F.cross_entropy(scores.flatten(0, -2), labels.flatten(), reduction="none").view(shape)
    return losses.flatten(1).mean(1) if losses.ndim > 1 else losses


def _no_scaler() -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", enabled=False)


@dataclass(frozen=True)
class Stepping:
    """The default is a step a batch in full precision in one process.

    `accum` batches make a step; `amp` is the precision of convolutions and products, float32 where None, and `scaler`
    keeps small gradients of float16 from vanishing; `skip_nonfinite` leaves out steps whose loss or gradient is not
    finite. `parallel` is the model wrapped for several processes.
    """

    accum: int = 1
    amp: torch.dtype | None = None
    scaler: torch.amp.GradScaler = field(default_factory=_no_scaler)
    skip_nonfinite: bool = False
    processes: Processes = ALONE
    parallel: DistributedDataParallel | None = None

    def backward(self, model: TSN, batch: VideoBatch, draw: Sequence[int], last: bool) -> tuple[Tensor, Tensor]:
        """Add up the gradients of this process's videos; gives their losses (n,) and scores, without gradient.

        Processes exchange their sums in the `last` backward before a step. An empty batch takes part.
        """
        network = self.parallel or model
        device = batch.labels.device.type
        with nullcontext() if last or not self.parallel else self.parallel.no_sync():
            with torch.autocast(device, self.amp, enabled=self.amp is not None):
                scores = network(batch.frames, batch.lengths, (*draw, self.processes.rank))
            losses = video_losses(scores.float(), batch.labels)
            self.scaler.scale(losses.sum() * self.processes.number).backward()  # DDP's is the mean over processes
        return losses.detach(), scores.detach()

    def gradient_norm(self, optimizer: torch.optim.Optimizer, videos: int, clip_gradient: float | None) -> float:
        """Make the sum of gradients a mean over `videos` and bound its norm; gives the norm from before."""
        self.scaler.unscale_(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for parameter in parameters:
            parameter.grad /= max(1, videos)
        return float(clip_grad_norm_(parameters, clip_gradient or math.inf))

    def forgives(self, lost: dict) -> bool:
        """Whether a step that is not finite is left out: by wish, or where float16 overflowed with all losses finite.

        Then the scaler tries half its factor; from 1 on downwards it is not the factor's fault.
        """
        return self.skip_nonfinite or (not lost and self.scaler.is_enabled() and self.scaler.get_scale() > 1)

    def start(self, model: TSN, optimizer: torch.optim.Optimizer) -> list[Tensor]:
        """Begin a step without gradients; gives what `undo` needs."""
        optimizer.zero_grad()
        return [buffer.clone() for buffer in model.buffers()] if self.skip_nonfinite else []

    def undo(self, model: TSN, before: list[Tensor]) -> None:
        """Forget a step: weights and momenta have not moved yet, running statistics go back to `before`."""
        for buffer, value in zip(model.buffers() if before else (), before, strict=True):
            buffer.copy_(value)

    def update(self, model: TSN, optimizer: torch.optim.Optimizer) -> None:
        """Move the weights, and make the running statistics of BatchNorm one."""
        self.scaler.step(optimizer)
        norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        share_statistics(
            [
                buffer
                for norm in norms
                if norm.training and type(norm) not in SYNCHRONISED.values()
                for buffer in (norm.running_mean, norm.running_var)
            ],
            self.processes,
        )


PLAIN = Stepping()


def choose_amp(wish: str | None, device: torch.device) -> torch.dtype | None:
    """The precision that `--amp` asks for; None, where nothing is asked for, is bf16 on a CUDA GPU that has it."""
    if wish is None:
        has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        wish = "bf16" if has_bf16 else "off"
    if wish != "off" and not torch.amp.is_autocast_available(device.type):
        raise InputError(f"--amp {wish}: this PyTorch has no mixed precision on {device.type}; use --amp off")
    return AMP[wish]


def make_stepping(
    model: TSN,
    device: torch.device,
    amp: str | None = None,
    accum: int = 1,
    skip_nonfinite: bool = False,
    processes: Processes = ALONE,
) -> Stepping:
    """The stepping of a run; with several processes all take rank 0's weights."""
    precision = choose_amp(amp, device)
    scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)
    parallel = None
    if processes.number > 1:  # inputs may stay on the host: the model fetches what it works on
        known = inspect.signature(DistributedDataParallel).parameters
        flag = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # renamed after 2.13
        parallel = DistributedDataParallel(model, **{flag: False})  # `Stepping.update` does that
    return Stepping(accum, precision, scaler, skip_nonfinite, processes, parallel)


def compile_network(model: TSN, device: torch.device, backend: str = "inductor") -> None:
    """`--compile`: stem and trunk become a compiled program each, which the second length that comes frees of lengths.

    Modules and the names of weights stay. Raises InputError where programs cannot be compiled.
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
    model.run_stem = torch.compile(model.run_stem, backend=backend)
    model.classify = torch.compile(model.classify, backend=backend)
