"""Flows that add one bend to a vector at a time: planar, radial, Sylvester.

`forward` is their closed form. As a prior it takes data to noise, so that densities are cheap and
samples take roots; as a posterior it is inverted (`Inverted`), and samples are cheap.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import Tensor
from torch.nn import functional

from pointgen.flows.amortised import AT_FIRST, Amortised
from pointgen.flows.base import Transform
from pointgen.flows.roots import solve_tanh

__all__ = [
    "Planar",
    "PlanarConfig",
    "Radial",
    "RadialConfig",
    "Sylvester",
    "SylvesterConfig",
]

MARGIN = 1e-3  # by which each bend stays from where its inverse has a kink


class Planar(Transform):
    """z = x + u tanh(w'x + b), with w'u > -1.

    Source: Rezende and Mohamed 2015, eq. 10 and appendix A.1; the inverse is one scalar root.
    """

    def __init__(self, dim: int, context_dim: int = 0) -> None:
        super().__init__()
        # w starts as a direction of length one: with a short one the bend would hardly bend.
        spread = (AT_FIRST, dim**-0.5, AT_FIRST)
        self.parameters_of = Amortised([(dim,), (dim,), ()], context_dim, spread=spread)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        u, w, b, slope = self._bend(context, x)
        h = torch.tanh((w * x).sum(-1) + b)
        return x + u * h.unsqueeze(-1), (slope * (1 - h.square())).log1p()

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data: w'x is the root of a + w'u tanh(a + b) = w'z."""
        u, w, b, slope = self._bend(context, z)
        along = solve_tanh(slope, torch.ones_like(slope), b, (w * z).sum(-1))
        return z - u * torch.tanh(along + b).unsqueeze(-1)

    def _bend(self, context: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return u, w, b, and w'u, which is kept above -1."""
        u, w, b = self.parameters_of(context, like)
        raw = (w * u).sum(-1)
        slope = functional.softplus(raw) - 1 + MARGIN
        u = u + ((slope - raw) / w.square().sum(-1)).unsqueeze(-1) * w
        return u, w, b, slope


class Radial(Transform):
    """z = x + beta (x - c) / (alpha + |x - c|), with alpha > 0 and beta > -alpha.

    Source: Rezende and Mohamed 2015, eq. 14 and appendix A.2. The inverse is a quadratic's root.
    """

    def __init__(self, dim: int, context_dim: int = 0) -> None:
        super().__init__()
        # Centres start apart, all over standardised data.
        spread = (1.0, AT_FIRST, AT_FIRST)
        self.parameters_of = Amortised([(dim,), (), ()], context_dim, spread=spread)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        centre, alpha, beta = self._bend(context, x)
        away = x - centre
        reach = alpha + away.norm(dim=-1)
        stretch = beta / reach
        radial = beta * alpha / reach.square()  # of the radius' own derivative
        ladj = (x.shape[-1] - 1) * stretch.log1p() + radial.log1p()
        return x + stretch.unsqueeze(-1) * away, ladj

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data: with R = |z - c|, r^2 + (alpha + beta - R) r - alpha R = 0."""
        centre, alpha, beta = self._bend(context, z)
        away = z - centre
        outer = away.norm(dim=-1)
        half = 0.5 * (outer - alpha - beta)
        inner = half + (half.square() + alpha * outer).sqrt()
        return centre + away / (1 + beta / (alpha + inner)).unsqueeze(-1)

    def _bend(self, context: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the centre, alpha and beta."""
        centre, alpha, beta = self.parameters_of(context, like)
        alpha = functional.softplus(alpha) + MARGIN
        return centre, alpha, functional.softplus(beta) - alpha * (1 - MARGIN)


class Sylvester(Transform):
    """z = x + Q R tanh(S Q'x + b), with Q of orthonormal columns and R, S upper triangular.

    The diagonals of R and S lie in (-1, 1), so that the products stay above -1. Source: van den
    Berg et al. 2018, eq. 8 and theorem 1; the inverse is found in Q'x by back-substitution, one
    scalar root for each column from the last to the first.
    """

    def __init__(self, dim: int, rank: int, context_dim: int = 0) -> None:
        super().__init__()
        shapes = [(dim, rank), (rank, rank), (rank, rank), (rank,)]
        # Q starts as a random frame, whatever the context.
        spread = (1.0, AT_FIRST, AT_FIRST, AT_FIRST)
        self.parameters_of = Amortised(shapes, context_dim, spread=spread)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        q, r, s, b = self._factors(context, x)
        h = torch.tanh(_times(s, _times(q.mT, x)) + b)
        slopes = _diagonal(r) * _diagonal(s) * (1 - h.square())
        return x + _times(q, _times(r, h)), slopes.log1p().sum(-1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data."""
        q, r, s, b = self._factors(context, z)
        target = _times(q.mT, z)  # = v + R tanh(S v + b), with v = Q'x
        bends: list[Tensor] = []  # of tanh(S v + b), the last column first
        known: list[Tensor] = []  # of v
        for i in reversed(range(r.shape[-1])):
            goal, offset = target[..., i], b[..., i]
            for j, (v, h) in enumerate(zip(reversed(known), reversed(bends), strict=True), i + 1):
                goal = goal - r[..., i, j] * h
                offset = offset + s[..., i, j] * v
            known.append(solve_tanh(r[..., i, i], s[..., i, i], offset, goal))
            bends.append(torch.tanh(s[..., i, i] * known[-1] + offset))
        return z - _times(q, _times(r, torch.stack(bends[::-1], dim=-1)))

    def _factors(
        self, context: Tensor | None, like: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        frame, upper, lower, b = self.parameters_of(context, like)
        q, _ = torch.linalg.qr(frame)
        return q, _bounded(upper), _bounded(lower), b


def _bounded(matrix: Tensor) -> Tensor:
    """Keep the upper triangle, its diagonal in (-1, 1)."""
    return matrix.triu(1) + torch.diag_embed((1 - MARGIN) * torch.tanh(_diagonal(matrix)))


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    with torch.autocast(vector.device.type, enabled=False):  # too coarse for densities
        if matrix.ndim == 2:  # one for all: a single product
            return vector @ matrix.mT
        return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _diagonal(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1)


class _FlowConfig(BaseModel):
    """What the three have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    layers: PositiveInt = 16
    """Number of bends, one after the other."""


class PlanarConfig(_FlowConfig):
    """Bends along planes; the cheapest of all, one tanh a layer."""

    kind: Literal["planar"] = "planar"

    def build(self, dim: int, context_dim: int) -> list[Transform]:
        """Build the transforms over vectors of `dim` numbers."""
        return [Planar(dim, context_dim) for _ in range(self.layers)]


class RadialConfig(_FlowConfig):
    """Bulges and dents around centres."""

    kind: Literal["radial"] = "radial"

    def build(self, dim: int, context_dim: int) -> list[Transform]:
        """Build the transforms over vectors of `dim` numbers."""
        return [Radial(dim, context_dim) for _ in range(self.layers)]


class SylvesterConfig(_FlowConfig):
    """Planar flows of many bends at once."""

    kind: Literal["sylvester"] = "sylvester"
    rank: PositiveInt = 8
    """Bends of a layer; at most the numbers of a vector, which it is cut to."""
    layers: PositiveInt = 8
    """Number of layers, one after the other."""

    def build(self, dim: int, context_dim: int) -> list[Transform]:
        """Build the transforms over vectors of `dim` numbers."""
        return [Sylvester(dim, min(dim, self.rank), context_dim) for _ in range(self.layers)]
