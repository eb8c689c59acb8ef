"""Where the density of a cloud pulls the points of another: gradients of Gaussian mixtures.

With p_h(x | y) the mixture of Gaussians of standard deviation h around the points of y,

- `towards` is h^2 times the gradient of log p_h(x | y) in each x: its way to the mean of the points
  of y near it, one step of mean shift;
- `pulled` is h^2 times that of sum_j log p_h(y_j | x), the likelihood of y where the points of x
  are the mixture: each y_j pulls those points that explain it, and how much pulls at a point is
  told.

They are smooth, so that what is computed again from points that are off by rounding is off by no
more, which the nearest points are not. Where they are differentiated, the weights of the mixture
are held, as the steps of EM and ICP hold them: the derivative then takes no (N, M) matrix.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["pulled", "towards"]


def towards(x: Tensor, y: Tensor, width: float, levels: int) -> list[Tensor]:
    """Return for each point of x the way to the mean of y near it, and how far y is spread there.

    Args:
        x: (B, N, 3).
        y: (B, M, 3), in the same units.
        width: standard deviation h of the narrowest kernel, same units.
        levels: number of kernels, each twice as wide as the one before.

    Returns:
        (B, N, 4) for each, the widest first: the way, and the root mean square distance to points
        of y by the same weights.
    """
    with torch.no_grad():
        moments = torch.cat([y, y.square().sum(-1, keepdim=True), torch.ones_like(y[..., :1])], -1)
        sums = [weights @ moments for weights in _weights(x, y, width, levels, dim=2)]
        means = [each[..., :4] / each[..., 4:] for each in sums]  # of y and of |y|^2
        spreads = [
            mean[..., 3:] - (2 * mean[..., :3] - x).mul(x).sum(-1, keepdim=True) for mean in means
        ]
        spreads = [spread.clamp_min(0).sqrt() for spread in spreads]
    ways = [mean[..., :3] - x for mean in means]
    return [torch.cat(pair, dim=-1) for pair in zip(ways, spreads, strict=True)]


def pulled(x: Tensor, y: Tensor, width: float, levels: int) -> list[Tensor]:
    """Return for each point of x how those points of y pull that it explains.

    Args:
        x: (B, N, 3).
        y: (B, M, 3), in the same units.
        width: standard deviation h of the narrowest kernel, same units.
        levels: number of kernels, each twice as wide as the one before.

    Returns:
        (B, N, 4) for each, the widest first: the pull, and how much of y the point explains; the
        mean of that over points is 1.
    """
    with torch.no_grad():
        moments = torch.cat([y, torch.ones_like(y[..., :1])], dim=-1)
        sums = []
        for weights in _weights(x, y, width, levels, dim=1):
            explained = weights.sum(1).unsqueeze(-1)  # (B, M, 1)
            sums.append(weights @ (moments / explained) * (x.shape[1] / y.shape[1]))
    return [torch.cat([each[..., :3] - each[..., 3:] * x, each[..., 3:]], dim=-1) for each in sums]


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
    weights = weights.mul_(-0.5 / (width * 2 ** (levels - 1)) ** 2).exp_()
    yield weights
    for _ in range(levels - 1):
        weights = weights.mul_(weights).mul_(weights)
        yield weights
