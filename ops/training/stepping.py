"""How a step of the optimizer is made: in which precision, from how many batches, by how many processes.

The gradient of a step is that of the mean loss over the videos of its batches, of all processes: each process adds up
the gradients of its videos' losses, and the sum over processes is divided by the number of videos that were there.
"""

import inspect
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel

from ops.data.loading import VideoBatch
from ops.data.seeds import Purpose, generator
from ops.errors import InputError
from ops.models import TSN
from ops.training.losses import video_losses
from ops.training.mixing import Mix, Mixing
from ops.training.processes import ALONE, Processes, share_statistics
from ops.training.sync_norm import is_synchronised

AMP = {"bf16": torch.bfloat16, "fp16": torch.float16, "off": None}


def _no_scaler() -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", enabled=False)


@dataclass(frozen=True)
class Stepping:
    """The default is a step a batch in full precision in one process.

    `accum` batches make a step; `amp` is the precision of convolutions and products, float32 where None, and `scaler`
    keeps small gradients of float16 from vanishing; `skip_nonfinite` leaves out steps whose loss or gradient is not
    finite. `parallel` is the model wrapped for several processes. `smoothing` and `class_weights` go into the loss,
    `mixing` says how videos are mixed, and `average` is a running mean of the weights that follows every step.
    """

    accum: int = 1
    amp: torch.dtype | None = None
    scaler: torch.amp.GradScaler = field(default_factory=_no_scaler)
    skip_nonfinite: bool = False
    processes: Processes = ALONE
    parallel: DistributedDataParallel | None = None
    smoothing: float = 0.0
    class_weights: Tensor | None = None
    mixing: Mixing | None = None
    average: AveragedModel | None = None

    def gradients(self, exchange: bool) -> AbstractContextManager:
        """Around the forward and backward pass of a batch: in the last batch of a step, processes exchange gradients.

        An empty batch takes part.
        """
        return nullcontext() if exchange or self.parallel is None else self.parallel.no_sync()

    def mix(self, key: Sequence[int]) -> Mix | None:
        """How the videos of a batch are mixed, the same in all processes; None where they are not."""
        return self.mixing.draw(generator(Purpose.MIXING, *key)) if self.mixing else None

    def forward(self, model: TSN, batch: VideoBatch, key: Sequence[int], mix: Mix | None = None) -> Tensor:
        """Logits of this process's videos, in the precision of the run."""
        network = self.parallel or model
        with torch.autocast(batch.labels.device.type, self.amp, enabled=self.amp is not None):
            return network(batch.frames, batch.lengths, (*key, self.processes.rank), mix)

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """As `video_losses`, as the run wants them."""
        return video_losses(logits, targets, self.smoothing, self.class_weights)

    def backward(self, losses: Tensor) -> None:
        """Add up the gradients of this process's videos, whose losses (n,) are given."""
        total = losses.sum() * self.processes.world_size  # DistributedDataParallel takes the mean over processes
        self.scaler.scale(total).backward()

    def finish_gradient(self, optimizer: torch.optim.Optimizer, videos: int, clip_gradient: float | None) -> float:
        """Make the sum of gradients a mean over `videos` and bound its norm; gives the norm from before."""
        self.scaler.unscale_(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for parameter in parameters:
            parameter.grad /= max(1, videos)
        return float(clip_grad_norm_(parameters, clip_gradient or math.inf))

    def tolerates(self, nonfinite: dict) -> bool:
        """Whether a step that is not finite is left out: by wish, or where float16 overflowed with all losses finite.

        Then the scaler tries half its factor; from 1 on downwards it is not the factor's fault.
        """
        return self.skip_nonfinite or (not nonfinite and self.scaler.is_enabled() and self.scaler.get_scale() > 1)

    def start(self, model: TSN, optimizer: torch.optim.Optimizer) -> list[Tensor]:
        """Begin a step without gradients; gives what `undo` needs."""
        optimizer.zero_grad()
        return [buffer.clone() for buffer in model.buffers()] if self.skip_nonfinite else []

    def undo(self, model: TSN, before: list[Tensor]) -> None:
        """Forget a step: weights and momenta have not moved yet, running statistics go back to `before`."""
        for buffer, value in zip(model.buffers() if before else (), before, strict=True):
            buffer.copy_(value)

    def step(self, model: TSN, optimizer: torch.optim.Optimizer, own_frames: int) -> None:
        """Move the weights, and make the running statistics of BatchNorm one: their mean, weighted by frames.

        The mean of the weights over steps follows.
        """
        self.scaler.step(optimizer)
        buffers = []
        for norm in model.modules():
            if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.training and not is_synchronised(norm):
                buffers += [norm.running_mean, norm.running_var]
        share_statistics(buffers, own_frames, self.processes)
        if self.average is not None:
            self.average.update_parameters(model)


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
    **recipe,
) -> Stepping:
    """The stepping of a run, whose `recipe` are further fields; with several processes all take rank 0's weights."""
    precision = choose_amp(amp, device)
    scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)
    parallel = None
    if processes.world_size > 1:  # inputs may stay on the host: the model fetches what it works on
        known = inspect.signature(DistributedDataParallel).parameters
        flag = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # renamed after 2.13
        parallel = DistributedDataParallel(model, **{flag: False})  # `Stepping.step` does that
    return Stepping(
        accum=accum,
        amp=precision,
        scaler=scaler,
        skip_nonfinite=skip_nonfinite,
        processes=processes,
        parallel=parallel,
        **recipe,
    )
