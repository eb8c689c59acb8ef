"""Elementwise affine transforms: units of the data, and the moving batch norm of PointFlow."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pointgen.flows.base import Transform
from pointgen.processes import moments, several

__all__ = ["MovingBatchNorm", "Standardize"]

# Of moving batch norm, as in the official code.
EPSILON, DECAY = 1e-4, 0.1


class Standardize(Transform):
    """z = (x - mean) / std with fixed buffers: the first transform of the point level.

    It makes log-likelihoods those of data units, and a checkpoint carry its units.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def set(self, mean: Tensor, std: Tensor) -> None:
        """Take mean (dim,) and standard deviation (dim,), data units.

        Raises:
            ValueError: A number is not finite, or a standard deviation is not positive.
        """
        if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            raise ValueError(
                f"units: expected finite mean and positive std, got {mean.tolist()}, {std.tolist()}"
            )
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data units to standardised units."""
        ladj = -self.std.log().sum()
        return (x - self.mean) / self.std, ladj.expand(x.shape[:-1])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map standardised units to data units."""
        return z * self.std + self.mean


class MovingBatchNorm(Transform):
    """Batch norm by running statistics, in training too, so that it is one fixed bijection a step.

    z = (x - m) / sqrt(v + 1e-4) * exp(weight) + bias, with m, v the running mean and unbiased
    variance of each coordinate *before* the current batch updates them. Statistics are taken over
    all leading axes, and over all processes that train together; the official code mixes the axes
    of (B, N, 3) here, and averages what each process has kept by itself, which is not repeated.

    Source: Yang et al. 2019, section 5 ("moving batch normalization").
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Normalise by the running statistics; in training, then move them towards the batch's."""
        # Copies: the update below must not change what backward, or an adjoint solve, reads again.
        mean, log_scale = self.running_mean.clone(), self._log_scale()
        if self.training:
            self._update(x.detach().to(self.running_mean.dtype))
        z = (x - mean) * log_scale.exp() + self.bias
        return z, log_scale.sum().expand(x.shape[:-1])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Undo the normalisation by the running statistics; never moves them."""
        return (z - self.bias) * (-self._log_scale()).exp() + self.running_mean.clone()

    def inverse_and_ladj(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo the normalisation, with log|det dx/dz|."""
        return self.inverse(z, context), -self._log_scale().sum().expand(z.shape[:-1])

    def _log_scale(self) -> Tensor:
        return self.weight - 0.5 * (self.running_var + EPSILON).log()

    @torch.no_grad()
    def _update(self, x: Tensor) -> None:
        flat = x.reshape(-1, x.shape[-1])
        if several():
            mean, var, count = moments(flat)
            mean, var = mean.to(x), (var * count / (count - 1)).to(x)
        elif len(flat) < 2:  # one sample has no variance
            return
        else:
            var, mean = torch.var_mean(flat, dim=0)
        self.running_mean.lerp_(mean, DECAY)
        self.running_var.lerp_(var, DECAY)
