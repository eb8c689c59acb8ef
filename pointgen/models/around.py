"""What models that are built around a PointFlow have of it: samples, codes, densities."""

from __future__ import annotations

from abc import ABC

from torch import Generator, Tensor

from pointgen.flows.affine import Standardize
from pointgen.flows.solver import Solver
from pointgen.models.base import Condition, PointCloudModel
from pointgen.models.pointflow import PointFlow

__all__ = ["AroundPointFlow", "pointflow_of"]


class AroundPointFlow(PointCloudModel, ABC):
    """A model that generates, encodes and decodes as the PointFlow inside it does."""

    flow: PointFlow

    @property
    def units(self) -> Standardize:
        """Data units to standardised units."""
        return self.flow.units

    def set_units(self, mean: Tensor, std: Tensor) -> None:
        """Take the training set's mean (3,) and standard deviation (3,), data units."""
        self.flow.set_units(mean, std)

    def sample(
        self,
        count: int,
        num_points: int,
        *,
        generator: Generator | None = None,
        temperature: float = 1.0,
        solver: Solver | None = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """Draw new clouds (count, num_points, 3) in data units; see `PointCloudModel.sample`."""
        return self.flow.sample(
            count,
            num_points,
            generator=generator,
            temperature=temperature,
            solver=solver,
            condition=condition,
        )

    def encode(self, points: Tensor) -> Tensor:
        """Map clouds (B, N, 3), data units, to their codes (B, C), free of noise."""
        return self.flow.encode(points)

    def decode(
        self,
        codes: Tensor,
        num_points: int,
        *,
        generator: Generator | None = None,
        solver: Solver | None = None,
    ) -> Tensor:
        """Draw clouds (B, num_points, 3), data units, from codes (B, C)."""
        return self.flow.decode(codes, num_points, generator=generator, solver=solver)

    def between(self, first: Tensor, second: Tensor, count: int) -> Tensor:
        """Return codes (count, C) on the way from one code (C,) to another, ends included."""
        return self.flow.between(first, second, count)

    def codes(
        self,
        count: int,
        *,
        generator: Generator | None = None,
        temperature: float = 1.0,
        solver: Solver | None = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """Draw codes (count, C) of new shapes; the arguments are those of `sample`."""
        return self.flow.codes(
            count,
            generator=generator,
            temperature=temperature,
            solver=solver,
            condition=condition,
        )

    def trajectory(
        self,
        codes: Tensor,
        num_points: int,
        frames: int,
        *,
        generator: Generator | None = None,
        solver: Solver | None = None,
    ) -> Tensor:
        """Return the way (B, frames, num_points, 3) of noise to clouds, data units."""
        return self.flow.trajectory(codes, num_points, frames, generator=generator, solver=solver)


def pointflow_of(model: PointCloudModel) -> PointFlow | None:
    """Return the PointFlow that a model is or has inside."""
    if isinstance(model, AroundPointFlow):
        return model.flow
    return model if isinstance(model, PointFlow) else None
