"""Bijections that know their log-Jacobian, and densities made of them.

Convention of the whole project: `forward` goes from data to noise, `inverse` from noise to data.
A context broadcasts against the batch dimensions of its input.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from pointgen.geometry.draws import standard_noise

__all__ = [
    "Base",
    "Chain",
    "Flow",
    "Inverted",
    "StandardLogistic",
    "StandardNormal",
    "Transform",
]


class Transform(nn.Module, ABC):
    """A bijection from data x to noise z, given a context."""

    event_ndim: ClassVar[int] = 1
    """Dimensions at the end of x that one event takes: 1 for a point or a code, 3 for a grid."""

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise.

        Returns:
            z of the shape of x, and ladj = log|det dz/dx| of shape x.shape[:-event_ndim], nats.
        """

    def to_noise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Map data to noise, without the log-Jacobian; override it where that costs much."""
        z, _ = self.forward(x, context)
        return z

    @abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data, without the log-Jacobian: sampling must not pay for a divergence."""

    def inverse_and_ladj(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map noise to data, with ladj = log|det dx/dz|; override it where one pass gives both."""
        x = self.inverse(z, context)
        _, ladj = self.forward(x, context)
        return x, -ladj


class Chain(Transform):
    """Transforms one after the other, the first nearest to the data."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def __iter__(self) -> Iterator[Transform]:
        """Iterate over the transforms, from the data to the noise."""
        for transform in self.transforms:
            assert isinstance(transform, Transform)
            yield transform

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise and sum the log-Jacobians."""
        total = x.new_zeros(x.shape[: -self.event_ndim])
        for transform in self:
            x, ladj = transform(x, context)
            total = total + ladj
        return x, total

    def to_noise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Map data to noise."""
        for transform in self:
            x = transform.to_noise(x, context)
        return x

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data."""
        for transform in reversed(list(self)):
            z = transform.inverse(z, context)
        return z

    def inverse_and_ladj(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map noise to data and sum the log-Jacobians."""
        total = z.new_zeros(z.shape[: -self.event_ndim])
        for transform in reversed(list(self)):
            z, ladj = transform.inverse_and_ladj(z, context)
            total = total + ladj
        return z, total


class Inverted(Transform):
    """A transform the other way round: what was cheap for densities is now cheap for samples."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise, by the inverse of the transform inside."""
        return self.transform.inverse_and_ladj(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data, by the transform inside."""
        x, _ = self.transform(z, context)
        return x

    def inverse_and_ladj(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map noise to data, with log|det dx/dz|."""
        x, ladj = self.transform(z, context)
        return x, ladj


class Base(nn.Module, ABC):
    """A density over vectors of `dim` independent numbers, from which noise is drawn."""

    origin: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        # Never saved: it only tells samples which device and type to take.
        self.register_buffer("origin", torch.zeros(dim), persistent=False)

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density (...,) of z (..., dim), nats."""

    @abstractmethod
    def sample(self, shape: Sequence[int], generator: Generator | None = None) -> Tensor:
        """Draw (*shape, dim).

        The numbers come from the generator's own device, so a CPU generator gives the same noise
        to a model on any device.
        """


class StandardNormal(Base):
    """N(0, I)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density (...,) of z (..., dim), nats."""
        return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)

    def sample(self, shape: Sequence[int], generator: Generator | None = None) -> Tensor:
        """Draw (*shape, dim)."""
        return standard_noise((*shape, *self.origin.shape), self.origin, generator)


class StandardLogistic(Base):
    """Logistic densities of mean 0 and scale 1: heavier tails. Source: Dinh et al. 2014, NICE."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density (...,) of z (..., dim), nats."""
        return -(functional.softplus(z) + functional.softplus(-z)).sum(-1)

    def sample(self, shape: Sequence[int], generator: Generator | None = None) -> Tensor:
        """Draw (*shape, dim)."""
        # Of normal noise, so that one state of a generator serves every base alike.
        noise = standard_noise((*shape, *self.origin.shape), self.origin, generator)
        return torch.special.log_ndtr(noise) - torch.special.log_ndtr(-noise)


class Flow(nn.Module):
    """The density of a transform over a base distribution."""

    def __init__(self, transform: Transform, base: Base) -> None:
        super().__init__()
        self.transform = transform
        self.base = base

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the log-density of x, shape x.shape[:-event_ndim], nats."""
        z, ladj = self.transform(x, context)
        return self.base.log_prob(z) + ladj

    def sample(
        self,
        shape: Sequence[int],
        context: Tensor | None = None,
        *,
        generator: Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw samples (*shape, dim); `temperature` scales the base's standard deviation."""
        return self.transform.inverse(temperature * self.base.sample(shape, generator), context)

    def rsample_and_log_prob(
        self,
        shape: Sequence[int],
        context: Tensor | None = None,
        *,
        generator: Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw differentiable samples (*shape, dim) with their log-density, nats."""
        z = self.base.sample(shape, generator)
        x, ladj = self.transform.inverse_and_ladj(z, context)
        return x, self.base.log_prob(z) - ladj
