"""A Glow over grids of several scales, which can be conditioned by the inside of another one.

At each level the grid is squeezed, taken through some steps, and half of its channels leave as
latents; the rest goes on to the next, coarser level. What the couplings of one flow see on the way
may be given to the couplings of a second flow at the same level and step. As the first knows
nothing of the second, the Jacobian of both is block triangular and its log-determinant the sum.

Source: Kingma and Dhariwal 2018 (Glow), figure 2; Pumarola et al. 2020 (C-Flow).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from pointgen.flows.base import Transform
from pointgen.flows.grid import ActNorm, AffineCoupling, InvertibleConv1x1, Squeeze
from pointgen.geometry.draws import standard_noise

__all__ = ["Activations", "Encoded", "MultiscaleFlow"]

Activations = Sequence[Tensor]
"""What each coupling saw, from the data on: (B, width, H, W), smaller at every level."""


@dataclass(frozen=True)
class Encoded:
    """What a flow makes of grids.

    Attributes:
        latents: (B, C, H, W) for each level, finest first; N(0, I) under the model.
        ladj: (B,), log|det| of the Jacobian of all latents by the grid, nats.
        activations: what each coupling saw.
    """

    latents: list[Tensor]
    ladj: Tensor
    activations: list[Tensor]

    @property
    def log_prob(self) -> Tensor:
        """The log-density (B,) of the grids, nats."""
        each = [-0.5 * (z.square() + math.log(2 * math.pi)).sum((1, 2, 3)) for z in self.latents]
        return torch.stack(each).sum(0) + self.ladj


class MultiscaleFlow(nn.Module):
    """A bijection of grids (B, C, H, W) to the latents of all levels."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        *,
        levels: int,
        steps: int,
        width: int,
        context_channels: int = 0,
    ) -> None:
        """Build the flow with random weights.

        Args:
            channels: C of the grids.
            size: H and W, each divisible by 2^levels.
            levels: how often the grid is squeezed.
            steps: flow steps of a level.
            width: channels inside the couplings.
            context_channels: width of the flow whose activations condition this one; 0 for none.

        Raises:
            ValueError: The grids cannot be halved so often.
        """
        super().__init__()
        height, breadth = size
        if height % 2**levels or breadth % 2**levels:
            raise ValueError(f"levels: a grid of {height} x {breadth} cannot be halved {levels}x")
        self.squeeze = Squeeze()
        self.latent_shapes: list[tuple[int, int, int]] = []
        self.levels = nn.ModuleList()
        for level in range(levels):
            channels, height, breadth = 4 * channels, height // 2, breadth // 2
            last = level == levels - 1
            self.levels.append(
                _Level(channels, (height, breadth), steps, width, context_channels, last=last)
            )
            channels = channels if last else channels // 2
            self.latent_shapes.append((channels, height, breadth))

    def forward(self, x: Tensor, context: Activations | None = None) -> Encoded:
        """Map grids to latents, given the activations of another flow if built for them."""
        latents: list[Tensor] = []
        activations: list[Tensor] = []
        total = x.new_zeros(len(x))
        for level in self._levels():
            x, _ = self.squeeze(x)
            given = _part(context, len(activations), len(level.parts))
            for step, one in zip(level.parts, given, strict=True):
                x, ladj, seen = step(x, one)
                activations.append(seen)
                total = total + ladj
            if not level.last:
                x, leaving = x.chunk(2, dim=1)
                latents.append(leaving)
        return Encoded([*latents, x], total, activations)

    def inverse(self, latents: Sequence[Tensor], context: Activations | None = None) -> Tensor:
        """Map latents to grids."""
        x, place = latents[-1], sum(len(level.parts) for level in self._levels())
        for level, leaving in zip(reversed(self._levels()), reversed(latents), strict=True):
            if not level.last:
                x = torch.cat([x, leaving], dim=1)
            place -= len(level.parts)
            given = _part(context, place, len(level.parts))
            for step, one in zip(reversed(level.parts), reversed(given), strict=True):
                x = step.inverse(x, one)
            x = self.squeeze.inverse(x)
        return x

    def draw(self, count: int, generator: Generator | None = None) -> list[Tensor]:
        """Draw latents of `count` grids from N(0, I), on the generator's own device first."""
        like = next(self.parameters())
        return [standard_noise((count, *shape), like, generator) for shape in self.latent_shapes]

    def _levels(self) -> list[_Level]:
        return [level for level in self.levels if isinstance(level, _Level)]


class _Level(nn.Module):
    """The steps of a level, and a coupling of the channels that leave on those that stay."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        steps: int,
        width: int,
        context_channels: int,
        *,
        last: bool,
    ) -> None:
        super().__init__()
        self.last = last
        # Those who leave are N(0, I) given those who stay: the learnt prior of Glow's splits.
        mixing = [True] * steps + ([] if last else [False])
        self.steps = nn.ModuleList(
            _Step(
                AffineCoupling(channels, size, width=width, context_channels=context_channels),
                ActNorm(channels) if mixed else None,
                InvertibleConv1x1(channels) if mixed else None,
            )
            for mixed in mixing
        )

    @property
    def parts(self) -> list[_Step]:
        return [part for part in self.steps if isinstance(part, _Step)]


class _Step(nn.Module):
    """A coupling, and before it what makes each half of the channels new."""

    def __init__(
        self, coupling: AffineCoupling, norm: ActNorm | None, mix: InvertibleConv1x1 | None
    ) -> None:
        super().__init__()
        self.before = nn.ModuleList(part for part in (norm, mix) if part is not None)
        self.coupling = coupling

    def forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Map data to noise; return also ladj (B,) and what the coupling saw."""
        total = x.new_zeros(len(x))
        for part in self.before:
            x, ladj = part(x)
            total = total + ladj
        z, ladj, seen = self.coupling.forward_with_features(x, context)
        return z, total + ladj, seen

    def inverse(self, z: Tensor, context: Tensor | None) -> Tensor:
        """Map noise to data."""
        z = self.coupling.inverse(z, context)
        for part in reversed(list(self.before)):
            assert isinstance(part, Transform)
            z = part.inverse(z)
        return z


def _part(context: Activations | None, start: int, count: int) -> list[Tensor | None]:
    """Return the activations of `count` couplings from the `start`-th on."""
    if context is None:
        return [None] * count
    return list(context[start : start + count])
