"""Where the density of a cloud pulls the points of another: gradients of Gaussian mixtures.

With p_h(x | y) the mixture of Gaussians of standard deviation h around the points of y,

- `towards` is h^2 times the gradient of log p_h(x | y) in each x: its way to the mean of the points
  of y near it, one step of mean shift;
- `pulled` is h^2 times that of sum_j log p_h(y_j | x), the likelihood of y where the points of x
  are the mixture: each y_j pulls those points that explain it, and how much pulls at a point is
  told.

They are smooth, so that what is computed again from points that are off by rounding is off by no
more, which the nearest points are not. No derivative takes an (N, M) matrix: that of the way
`towards` y is known from the covariance that is found with it, and the others are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["means_near", "pulled", "towards"]


def towards(x: Tensor, y: Tensor, width: float, levels: int) -> list[Tensor]:
    """Return for each point of x the way to the mean of y near it, and how y lies there.

    Args:
        x: (B, N, 3); the way is differentiated by it.
        y: (B, M, 3), in the same units; it gets no gradient.
        width: standard deviation h of the narrowest kernel, same units.
        levels: number of kernels, each twice as wide as the one before.

    Returns:
        (B, N, 7) for each, the widest first: the way; the way within the surface, which is the
        covariance of y by the same weights, relative to its trace, times the way; and the root mean
        square distance to points of y.
    """
    with torch.no_grad():
        row, column = torch.triu_indices(3, 3, device=x.device)
        moments = torch.cat([y, y[..., row] * y[..., column], torch.ones_like(y[..., :1])], dim=-1)
        sums = [weights @ moments for weights in _weights(x, y, width, levels, dim=2)]
        found = [_shape(each[..., :9] / each[..., 9:], row, column) for each in sums]
    widths = (width * 2**level for level in reversed(range(levels)))
    return [_way(x, *each, h) for each, h in zip(found, widths, strict=True)]


def _shape(means: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (..., 3) and the covariance (..., 3, 3).

    Args:
        means: (..., 9), of the coordinates and of their products.
        row: of the products' first coordinate.
        column: of their second.
    """
    mean, products = means[..., :3], means[..., 3:] - means[..., row] * means[..., column]
    full = products.new_zeros(*products.shape[:-1], 3, 3)
    full[..., row, column] = full[..., column, row] = products
    return mean, full


def _way(x: Tensor, mean: Tensor, covariance: Tensor, width: float) -> Tensor:
    """Return the seven numbers; the way's derivative is covariance / h^2 - 1."""
    moved = covariance / width**2 * (x - x.detach()).unsqueeze(-2)
    way = mean + moved.sum(-1) - x
    trace = covariance.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True).clamp_min(0)
    within = (covariance * way.unsqueeze(-2)).sum(-1) / (trace + 1e-6)
    far = (trace + way.detach().square().sum(-1, keepdim=True)).sqrt()
    return torch.cat([way, within, far], dim=-1)


@torch.no_grad()
def pulled(x: Tensor, y: Tensor, width: float, levels: int) -> list[Tensor]:
    """Return for each point of x how those points of y pull that it explains; without gradients.

    Args:
        x: (B, N, 3).
        y: (B, M, 3), in the same units.
        width: standard deviation h of the narrowest kernel, same units.
        levels: number of kernels, each twice as wide as the one before.

    Returns:
        (B, N, 4) for each, the widest first: the pull, and how much of y the point explains; the
        mean of that over points is 1.
    """
    moments = torch.cat([y, torch.ones_like(y[..., :1])], dim=-1)
    sums = []
    for weights in _weights(x, y, width, levels, dim=1):
        explained = weights.sum(1).unsqueeze(-1)  # (B, M, 1)
        sums.append(weights @ (moments / explained) * (x.shape[1] / y.shape[1]))
    return [torch.cat([each[..., :3] - each[..., 3:] * x, each[..., 3:]], dim=-1) for each in sums]


def means_near(x: Tensor, values: Tensor, width: float) -> Tensor:
    """Return the means (B, N, C) of what the points near each one bring, weighted by a Gaussian.

    Args:
        x: (B, N, 3).
        values: (B, N, C), of the points.
        width: standard deviation of the kernel, units of x.
    """
    # Half precision would be too coarse for distances; for the means it is not.
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        weights = next(_weights(x, x, width, 1, dim=2))
        weights /= weights.sum(2, keepdim=True)
    return weights @ values


def _weights(x: Tensor, y: Tensor, width: float, levels: int, dim: int) -> Iterator[Tensor]:
    """Yield exp(-d^2 / 2h^2) (B, N, M) from the widest kernel on, in one place in memory.

    They are relative to the largest along `dim`, so that there is one that is not zero. A kernel
    half as wide is the fourth power.

    The squared distances are |x|^2 + |y|^2 - 2 x y, off by rounding of the squared coordinates: for
    kernels that are wider than a thousandth of the clouds.
    """
    squares = x.square().sum(-1).unsqueeze(2) + y.square().sum(-1).unsqueeze(1)
    weights = torch.baddbmm(squares, x, y.mT, alpha=-2)
    weights -= weights.amin(dim, keepdim=True)
    # What is so small that its fourth power has no full precision is nothing: arithmetic with such
    # numbers is many times slower.
    least = torch.finfo(weights.dtype).tiny ** 0.25
    weights.mul_(-0.5 / (width * 2 ** (levels - 1)) ** 2).clamp_min_(math.log(least)).exp_()
    yield torch.threshold_(weights, 1.01 * least, 0)
    for _ in range(levels - 1):
        weights.mul_(weights).mul_(weights)
        yield torch.threshold_(weights, 1.01 * least, 0)
