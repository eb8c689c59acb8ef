"""Bijections of grids (B, C, H, W): the parts of a Glow, with couplings that take conditions.

Source: Kingma and Dhariwal 2018 (Glow), table 1; the conditions are those of Pumarola et al. 2020
(C-Flow).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pointgen.flows.base import Transform
from pointgen.flows.coupling import bounded
from pointgen.flows.glow import LU, standardising

__all__ = ["ActNorm", "AffineCoupling", "InvertibleConv1x1", "Squeeze"]

OVERVIEW = 4  # cells a side of what is left of a condition when the whole grid is told of it


class GridTransform(Transform):
    """A bijection whose events are whole grids."""

    event_ndim: ClassVar[int] = 3


class Squeeze(GridTransform):
    """Trade space for channels: every 2 x 2 block becomes one cell of four times the channels."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map (..., C, H, W) to (..., 4 C, H / 2, W / 2); nothing is stretched."""
        return functional.pixel_unshuffle(x, 2), x.new_zeros(x.shape[:-3])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map (..., 4 C, H / 2, W / 2) to (..., C, H, W)."""
        return functional.pixel_shuffle(z, 2)


class ActNorm(GridTransform):
    """z = x exp(log_scale) + bias by channel; the first batch of training comes out standardised.

    All processes that train together start from the statistics of all their first batches.
    """

    initialised: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.register_buffer("initialised", torch.tensor(False))
        self._known = False  # spares a GPU to be asked for `initialised` at every step

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        if self.training and not self._known:
            if not self.initialised:
                self._initialise(x.detach())
            self._known = True
        ladj = self.log_scale.sum() * (x.shape[-2] * x.shape[-1])
        return x * self.log_scale.exp() + self.bias, ladj.expand(x.shape[:-3])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data."""
        return (z - self.bias) * (-self.log_scale).exp()

    @torch.no_grad()
    def _initialise(self, x: Tensor) -> None:
        log_scale, bias = standardising(x.movedim(-3, -1).flatten(0, -2))  # (B H W, C)
        self.log_scale.copy_(log_scale[:, None, None])
        self.bias.copy_(bias[:, None, None])
        self.initialised.fill_(True)


class InvertibleConv1x1(GridTransform):
    """z = W x in every cell, with W a random rotation at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factors = LU(channels)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        ladj = self.factors.log_scale.sum() * (x.shape[-2] * x.shape[-1])
        return _mixed(x, self.factors.matrix), ladj.expand(x.shape[:-3])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data."""
        return _mixed(z, self.factors.inverse)


def _mixed(x: Tensor, matrix: Callable[[], Tensor]) -> Tensor:
    """Multiply the channels of every cell by a matrix (C, C).

    In full precision, or the way back would not be one: a convolution would be TF32 on many cards.
    """
    with torch.autocast(x.device.type, enabled=False):
        return torch.einsum("oi,...ihw->...ohw", matrix(), x)


class AffineCoupling(GridTransform):
    """One half of the channels passes, and says how the other half is stretched and shifted.

    z2 = x2 exp(s) + t with s and t functions of z1 = x1 and of the context; at first s = t = 0.
    The context is another grid (B, context_channels, any height, any width).
    """

    def __init__(
        self, channels: int, size: tuple[int, int], *, width: int, context_channels: int = 0
    ) -> None:
        super().__init__()
        self.passing = channels // 2
        self.features = _Features(self.passing, size, width, context_channels)
        self.head = nn.Conv2d(width, 2 * (channels - self.passing), 3, padding=1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        z, ladj, _ = self.forward_with_features(x, context)
        return z, ladj

    def forward_with_features(
        self, x: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map data to noise; also return what the network saw, (B, width, H, W)."""
        passed, changed = self._halves(x)
        features = self.features(passed, context)
        log_scale, shift = self._affine(features, x)
        z = torch.cat([passed, changed * log_scale.exp() + shift], dim=-3)
        return z, log_scale.sum((-3, -2, -1)), features

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data."""
        passed, changed = self._halves(z)
        log_scale, shift = self._affine(self.features(passed, context), z)
        return torch.cat([passed, (changed - shift) * (-log_scale).exp()], dim=-3)

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[..., : self.passing, :, :], x[..., self.passing :, :, :]

    def _affine(self, features: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        # Under autocast the network answers in half precision, too coarse for densities.
        raw, shift = self.head(features).to(like.dtype).chunk(2, dim=-3)
        return bounded(raw), shift


class _Features(nn.Module):
    """What a coupling sees: each cell's surroundings, its place, and the whole of the grid.

    The whole is pooled from the half that passes, so that it is known on the way back too.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], width: int, context_channels: int
    ) -> None:
        super().__init__()
        self.size = size
        self.local = nn.Conv2d(channels, width, 3, padding=1)
        self.place = nn.Parameter(0.1 * torch.randn(width, *size))
        self.mix = nn.Conv2d(width, width, 1)
        self.given = nn.Conv2d(context_channels, width, 1) if context_channels else None
        self.whole = nn.Sequential(
            nn.Linear(2 * width + context_channels * OVERVIEW**2, width),
            nn.SiLU(),
            nn.Linear(width, width),
        )

    def forward(self, passed: Tensor, context: Tensor | None) -> Tensor:
        """Map (B, C, H, W) and a condition, if there is one, to (B, width, H, W)."""
        seen = self.local(passed) + self.place
        told = []
        if self.given is not None:
            assert context is not None, "this coupling was built for a context"
            seen = seen + self.given(functional.adaptive_avg_pool2d(context, self.size))
            told = [functional.adaptive_avg_pool2d(context, OVERVIEW).flatten(1)]
        seen = functional.silu(seen)
        whole = self.whole(torch.cat([seen.mean((2, 3)), seen.amax((2, 3)), *told], dim=1))
        return functional.silu(seen + self.mix(seen) + whole[:, :, None, None])
