"""BatchNorm over the videos of all processes (`--sync_bn`): torch's on CUDA, our own elsewhere.

Ioffe and Szegedy, *Batch Normalization*, ICML 2015, with mean and variance of the whole batch: each process's count,
mean and sum of squares about it are put together as Chan, Golub and LeVeque do (1979). A process may come without
anything. `torch.nn.SyncBatchNorm` is for CUDA only; ours is made of plain operations, for processes on CPUs.
"""

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.autograd.function import once_differentiable


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.ndim - 2))


class _BatchNorm(torch.autograd.Function):
    """y = (x - m) / sqrt(v + eps) * w + b with m, v (c,) over all processes' x (n, c, ...)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, eps: float):
        ctx.dims = [0, *range(2, x.ndim)]
        values, count = x.float(), x.numel() // x.shape[1]
        mean = values.sum(ctx.dims) / max(1, count)
        squares = (values - _per_channel(mean, x)).square().sum(ctx.dims)
        own = torch.cat([mean, squares, mean.new_tensor([count])])
        all_own = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(all_own, own)
        means, squares, counts = torch.stack(all_own).split([len(mean), len(mean), 1], 1)  # (processes, c), (.., 1)
        total = counts.sum().clamp(min=1)
        mean = (means * counts).sum(0) / total
        variance = (squares + (means - mean).square() * counts).sum(0) / total
        invstd = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, invstd, total)
        ctx.mark_non_differentiable(mean, variance, total)
        y = (values - _per_channel(mean, x)) * _per_channel(invstd * weight, x) + _per_channel(bias, x)
        return y.to(x.dtype), mean, variance, total

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, *_):
        x, weight, mean, invstd, total = ctx.saved_tensors
        grad, dtype = grad.float(), x.dtype
        normal = (x.float() - _per_channel(mean, x)) * _per_channel(invstd, x)
        bias_grad, weight_grad = grad.sum(ctx.dims), (grad * normal).sum(ctx.dims)
        sums = torch.cat([bias_grad, weight_grad])
        dist.all_reduce(sums)
        by_mean, by_variance = (_per_channel(part, x) for part in (sums / total).chunk(2))
        grad = (grad - by_mean - normal * by_variance) * _per_channel(invstd * weight, x)
        return grad.to(dtype), weight_grad, bias_grad, None


class _Synchronised:
    """A BatchNorm whose statistics in training are those of all processes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        y, mean, variance, total = _BatchNorm.apply(x, self.weight, self.bias, self.eps)
        if self.track_running_stats:
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * total / (total - 1).clamp(min=1), self.momentum)
        return y


class SynchronisedBatchNorm1d(_Synchronised, nn.BatchNorm1d):
    pass


class SynchronisedBatchNorm2d(_Synchronised, nn.BatchNorm2d):
    pass


class SynchronisedBatchNorm3d(_Synchronised, nn.BatchNorm3d):
    pass


SYNCHRONISED = {
    nn.BatchNorm1d: SynchronisedBatchNorm1d,
    nn.BatchNorm2d: SynchronisedBatchNorm2d,
    nn.BatchNorm3d: SynchronisedBatchNorm3d,
}


def synchronise(model: nn.Module, device: torch.device) -> nn.Module:
    """The model with every BatchNorm made such a one; weights and the names of modules stay."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if type(module) in SYNCHRONISED:
            module.__class__ = SYNCHRONISED[type(module)]
    return model


def is_synchronised(norm: nn.Module) -> bool:
    return isinstance(norm, (_Synchronised, nn.SyncBatchNorm))
