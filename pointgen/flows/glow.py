"""What Glow is made of besides couplings: norms set by the first batch, and mixing matrices.

Source: Kingma and Dhariwal 2018 (Glow), table 1; the diagonal scale is that of Dinh et al. 2014
(NICE).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pointgen.flows.base import Transform
from pointgen.processes import moments, several

__all__ = ["LU", "ActNorm", "InvertibleLinear", "Scale", "standardising"]

LEAST_VARIANCE = 1e-6  # of a channel that varies, and so is divided by its deviation


def standardising(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return log_scale and bias (C,) with which vectors x (N, C) come out standardised.

    The statistics are those of the batches of all processes that train together. What does not
    vary is moved only: nothing is known of its scale.
    """
    if several():
        mean, variance, _ = moments(x)
        mean, variance = mean.to(x), variance.to(x)
    else:
        variance, mean = torch.var_mean(x, dim=0, correction=0)
    log_scale = -0.5 * variance.where(variance > LEAST_VARIANCE, 1.0).log()
    return log_scale, -mean * log_scale.exp()


class ActNorm(Transform):
    """z = x exp(log_scale) + bias; the first batch of training comes out standardised."""

    initialised: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer("initialised", torch.tensor(False))
        self._known = False  # spares a GPU to be asked for `initialised` at every step

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        if self.training and not self._known:
            if not self.initialised:
                self._initialise(x.detach())
            self._known = True
        z = x * self.log_scale.exp() + self.bias
        return z, self.log_scale.sum().expand(x.shape[:-1])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data."""
        return (z - self.bias) * (-self.log_scale).exp()

    def inverse_and_ladj(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map noise to data, with log|det dx/dz|; only data set the norm."""
        return self.inverse(z, context), -self.log_scale.sum().expand(z.shape[:-1])

    @torch.no_grad()
    def _initialise(self, x: Tensor) -> None:
        log_scale, bias = standardising(x.reshape(-1, x.shape[-1]))
        self.log_scale.copy_(log_scale)
        self.bias.copy_(bias)
        self.initialised.fill_(True)


class Scale(Transform):
    """z = x exp(log_scale), which is all that lets a chain of additive couplings change volumes."""

    def __init__(self, dim: int, first: float = 1.0) -> None:
        """Start with one scale for all coordinates."""
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((dim,), math.log(first)))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        return x * self.log_scale.exp(), self.log_scale.sum().expand(x.shape[:-1])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data."""
        return z * (-self.log_scale).exp()


class LU(nn.Module):
    """A square matrix W = P L (U + diag(s)), a random rotation at first.

    L and U are triangular with ones and zeros on their diagonals, P and the signs of s are fixed,
    log|det W| is the sum of log_scale. Source: Kingma and Dhariwal 2018, eq. 10.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(dim, dim))
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_scale = nn.Parameter(diagonal.abs().log())
        self.register_buffer("sign", diagonal.sign())
        self.register_buffer("order", permutation.argmax(dim=1))  # P y = y[order]

    def matrix(self) -> Tensor:
        """Return W (C, C)."""
        lower, upper = self._triangles()
        return (lower @ upper)[self.order]

    def inverse(self) -> Tensor:
        """Return the inverse of W (C, C)."""
        lower, upper = self._triangles()
        back = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)[self.order].mT
        back = torch.linalg.solve_triangular(lower, back, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, back, upper=True)

    def _triangles(self) -> tuple[Tensor, Tensor]:
        eye = torch.eye(len(self.sign), dtype=self.lower.dtype, device=self.lower.device)
        diagonal = torch.diag(self.sign * self.log_scale.exp())
        return self.lower.tril(-1) + eye, self.upper.triu(1) + diagonal


class InvertibleLinear(Transform):
    """z = W x, with W a random rotation at first: every coordinate reaches every other."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.factors = LU(dim)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        with torch.autocast(x.device.type, enabled=False):
            z = x @ self.factors.matrix().mT
        return z, self.factors.log_scale.sum().expand(x.shape[:-1])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data."""
        with torch.autocast(z.device.type, enabled=False):
            return z @ self.factors.inverse().mT
