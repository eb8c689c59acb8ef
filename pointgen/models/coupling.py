"""How a level of a model says which flow of couplings it wants: NICE, RealNVP, Glow, splines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from pointgen.flows.base import Transform
from pointgen.flows.coupling import Additive, Affine, Change, Coupling, Spline, passing
from pointgen.flows.glow import ActNorm, InvertibleLinear, Scale
from pointgen.networks import FilmConfig

__all__ = ["GlowConfig", "NiceConfig", "RealNvpConfig", "SplineConfig"]

LOGISTIC_DEVIATION = math.pi / math.sqrt(3)


class _CouplingConfig(BaseModel):
    """What flows of couplings have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    layers: PositiveInt = 8
    """Number of couplings; in each, about half of the numbers change."""
    network: FilmConfig = FilmConfig()
    """The network of each coupling."""

    def _couplings(self, dim: int, context_dim: int, change: Change) -> Iterator[Coupling]:
        if dim < 2:
            raise ValueError("couplings: expected at least two numbers, one to change by the other")
        for place in range(self.layers):
            passes = passing(dim, place)
            kept = int(passes.sum())
            network = self.network.build(kept, (dim - kept) * change.parameters, context_dim)
            yield Coupling(passes, network, change)


class NiceConfig(_CouplingConfig):
    """Additive couplings and one diagonal scale: volumes change alike everywhere."""

    kind: Literal["nice"] = "nice"
    base: Literal["logistic", "normal"] = "logistic"
    """The density of the noise."""

    def build(self, dim: int, context_dim: int) -> list[Transform]:
        """Build the transforms over vectors of `dim` numbers, the first nearest to the data."""
        # Data of unit variance then start as noise of the base's.
        first = LOGISTIC_DEVIATION if self.base == "logistic" else 1.0
        return [*self._couplings(dim, context_dim, Additive()), Scale(dim, first)]


class RealNvpConfig(_CouplingConfig):
    """Affine couplings."""

    kind: Literal["realnvp"] = "realnvp"

    def build(self, dim: int, context_dim: int) -> list[Transform]:
        """Build the transforms over vectors of `dim` numbers, the first nearest to the data."""
        return list(self._couplings(dim, context_dim, Affine()))


class GlowConfig(_CouplingConfig):
    """Affine couplings, before each a norm set by the first batch and a learnt mixing matrix."""

    kind: Literal["glow"] = "glow"

    def build(self, dim: int, context_dim: int) -> list[Transform]:
        """Build the transforms over vectors of `dim` numbers, the first nearest to the data."""
        steps = ([ActNorm(dim), InvertibleLinear(dim)] for _ in range(self.layers))
        couplings = self._couplings(dim, context_dim, Affine())
        return [
            part
            for step, coupling in zip(steps, couplings, strict=True)
            for part in (*step, coupling)
        ]


class SplineConfig(_CouplingConfig):
    """Couplings by rational-quadratic splines: the most flexible in one pass."""

    kind: Literal["spline"] = "spline"
    layers: PositiveInt = 6
    """Number of couplings; in each, about half of the numbers change."""
    bins: int = Field(default=8, ge=2)
    """Pieces of each spline."""
    bound: PositiveFloat = 5.0
    """Splines reach from minus to plus this many standardised units; beyond is left as it is."""

    def build(self, dim: int, context_dim: int) -> list[Transform]:
        """Build the transforms over vectors of `dim` numbers, the first nearest to the data."""
        return list(self._couplings(dim, context_dim, Spline(self.bins, self.bound)))
