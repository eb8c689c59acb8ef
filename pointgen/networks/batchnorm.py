"""Batch norm whose batch is that of all processes which train together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pointgen.processes import moments, several, summed

__all__ = ["BatchNorm"]


class BatchNorm(nn.BatchNorm1d):
    """torch's batch norm of vectors (N, C); in training, over those of all processes.

    torch's SyncBatchNorm does the same on CUDA alone, and this one on every device, so that
    several processes on a CPU can show that they train as one.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise vectors (N, C); in training the running statistics follow the batch's."""
        return self._joint(input) if self.training and several() else super().forward(input)

    @torch.compiler.disable
    def _joint(self, x: Tensor) -> Tensor:
        """Normalise by the vectors of all processes, at least one each, and so at least two."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        mean, variance, count = moments(x.to(dtype))
        self._follow(mean, variance * count / (count - 1))
        mean, variance, count = (moment.to(dtype) for moment in (mean, variance, count))
        normalised: Tensor = _Normalize.apply(
            x, self.weight, self.bias, mean, variance, count, self.eps
        )
        return normalised

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var), self.momentum)


class _Normalize(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, differentiated through the statistics.

    Statistics are those of `count` vectors x on all processes, so the gradient of one's x takes
    sums over all. Those of weight and bias are of this process's vectors alone: as for every other
    parameter, DDP joins them. Source: Ioffe and Szegedy 2015, section 3.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt(), count)
        return functional.batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        (gradient,) = (g.to(mean.dtype) for g in gradients)
        unit = (x - mean) * scale  # (N, C)
        own = torch.stack([gradient.sum(0), (gradient * unit).sum(0)])
        level, slope = summed(own) / count
        to_x = (gradient - level - unit * slope) * (scale * weight)
        return to_x.to(x.dtype), own[1].to(weight.dtype), own[0].to(weight.dtype), *(None,) * 4
