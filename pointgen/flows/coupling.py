"""Couplings: some coordinates pass, and say how each of the others is changed.

Both ways take one pass of a network. Source: Dinh et al. 2014 (NICE), eq. 4; Dinh et al. 2017
(RealNVP), eq. 7; Durkan et al. 2019 (neural spline flows), section 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from pointgen.flows.base import Transform

__all__ = ["Additive", "Affine", "Change", "Coupling", "Spline", "bounded", "passing"]

LARGEST_LOG_SCALE = 2.0  # of one coupling: inverses stay tame where training has not been


def passing(dim: int, place: int) -> Tensor:
    """Return which coordinates (dim,) pass in the coupling of a place in a chain.

    Each pair of couplings goes by one binary digit of a coordinate's number, those with a one
    passing first and those with a zero next, and the next pair by the next digit. So any two
    coordinates are soon told apart, and every coordinate comes to depend on all.
    """
    digits = max(1, (dim - 1).bit_length())
    digit = (torch.arange(dim) >> (place // 2 % digits)) & 1
    return digit == (1 - place % 2)


def bounded(log_scale: Tensor) -> Tensor:
    """Keep the log-scale of a coupling within +-`LARGEST_LOG_SCALE`, smoothly."""
    return LARGEST_LOG_SCALE * (log_scale / LARGEST_LOG_SCALE).tanh()


class Change(ABC):
    """A monotone change of single numbers, by some parameters each; the identity for zeros."""

    parameters: int
    """Parameters of each number."""

    @abstractmethod
    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (..., D) by parameters (..., D, P); return z and log(dz/dx), both (..., D)."""

    @abstractmethod
    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Map z (..., D) back."""


class Additive(Change):
    """z = x + t: no volume changes. Source: Dinh et al. 2014."""

    parameters = 1

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        return x + parameters.squeeze(-1), torch.zeros_like(x)

    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Map noise to data."""
        return z - parameters.squeeze(-1)


class Affine(Change):
    """z = x exp(s) + t, with |s| bounded. Source: Dinh et al. 2017."""

    parameters = 2

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        log_scale, shift = self._affine(parameters)
        return x * log_scale.exp() + shift, log_scale

    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Map noise to data."""
        log_scale, shift = self._affine(parameters)
        return (z - shift) * (-log_scale).exp()

    def _affine(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = parameters.unbind(-1)
        return bounded(raw), shift


class Spline(Change):
    """A rational-quadratic spline inside [-bound, bound], the identity outside.

    Source: Durkan et al. 2019; the spline itself is zuko's.
    """

    def __init__(self, bins: int, bound: float) -> None:
        self.bins = bins
        self.bound = bound
        self.parameters = 3 * bins - 1

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        z, ladj = self._spline(parameters).call_and_ladj(x)
        return z, ladj

    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Map noise to data."""
        x: Tensor = self._spline(parameters).inv(z)
        return x

    def _spline(self, parameters: Tensor) -> Any:
        from zuko.transforms import MonotonicRQSTransform

        pieces = parameters.split([self.bins, self.bins, self.bins - 1], dim=-1)
        return MonotonicRQSTransform(*pieces, bound=self.bound)


class Coupling(Transform):
    """z = x where a mask says so, and change(x; network(the part that passes, context)) elsewhere.

    Attributes:
        network: maps (..., P) and a context to (..., (D - P) * change.parameters); zero at first.
    """

    kept: Tensor
    changed: Tensor
    back: Tensor

    def __init__(self, passes: Tensor, network: nn.Module, change: Change) -> None:
        """Build it from which coordinates (D,) pass."""
        super().__init__()
        kept, changed = passes.nonzero().squeeze(-1), (~passes).nonzero().squeeze(-1)
        self.register_buffer("kept", kept, persistent=False)
        self.register_buffer("changed", changed, persistent=False)
        self.register_buffer("back", torch.cat([kept, changed]).argsort(), persistent=False)
        self.network = network
        self.change = change

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise."""
        kept, changed = x[..., self.kept], x[..., self.changed]
        z, ladj = self.change.forward(changed, self._asked(kept, context))
        return torch.cat([kept, z], dim=-1)[..., self.back], ladj.sum(-1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data."""
        kept, changed = z[..., self.kept], z[..., self.changed]
        x = self.change.inverse(changed, self._asked(kept, context))
        return torch.cat([kept, x], dim=-1)[..., self.back]

    def inverse_and_ladj(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map noise to data, with log|det dx/dz|, by one pass of the network."""
        kept, changed = z[..., self.kept], z[..., self.changed]
        parameters = self._asked(kept, context)
        x = self.change.inverse(changed, parameters)
        _, ladj = self.change.forward(x, parameters)
        return torch.cat([kept, x], dim=-1)[..., self.back], -ladj.sum(-1)

    def _asked(self, kept: Tensor, context: Tensor | None) -> Tensor:
        # Under autocast the network answers in half precision, too coarse for densities.
        answer: Tensor = self.network(kept, context).to(kept.dtype)
        return answer.unflatten(-1, (-1, self.change.parameters))
