"""Where a model runs and in what form: its device, its memory format, how cuDNN's kernels are chosen and round."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def place_model(model: nn.Module, device: torch.device) -> None:
    """Move a model to its device; on CUDA its images then lie channels last, which is faster there."""
    model.to(device)
    if device.type == "cuda":
        lay_channels_last(model)


def lay_channels_last(model: nn.Module) -> None:
    """Lay the 4-d weights of a model out channels last, so that activations follow.

    Others, such as the 5-d weights of non-local blocks, stay as they are: `Module.to` with this memory format would
    raise a RuntimeError at them. Values, names and the parameters themselves stay.
    """
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


@contextmanager
def full_precision() -> Iterator[None]:
    """Convolutions and products of float32 on CUDA keep its 24 bits; by PyTorch's default cuDNN rounds to 11 (TF32).

    What is evaluated then does not depend on the kind of GPU beyond rounding. Training is left as PyTorch has it.
    """
    backends = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = False
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def choose_kernels(fixed_shapes: bool, deterministic: bool) -> None:
    """Let cuDNN try its kernels on the first batch and keep the fastest, as TSM does (`cudnn.benchmark`).

    Only where batches have `fixed_shapes`, as sampled frames have, because kernels are tried anew for every new shape;
    and not where a run is to be `deterministic`, because the fastest kernel may be another one the next time.
    """
    torch.backends.cudnn.benchmark = fixed_shapes and not deterministic
