"""How a level of a model says which continuous flow it wants."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from pointgen.flows.affine import MovingBatchNorm
from pointgen.flows.base import Transform
from pointgen.flows.continuous import CNF, Divergence
from pointgen.flows.solver import Solver
from pointgen.networks import ConcatSquashConfig, FieldConfig

__all__ = ["CnfConfig"]


class CnfConfig(BaseModel):
    """One or more CNFs, with moving batch norms around them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["cnf"] = "cnf"
    field: FieldConfig = Field(default_factory=ConcatSquashConfig)
    """The velocity field of each CNF."""
    blocks: PositiveInt = 1
    """Number of CNFs, one after the other."""
    batch_norm: bool = True
    """A moving batch norm before the first CNF and after each."""
    divergence: Divergence = "hutchinson"
    """In training; wherever a likelihood is reported the divergence is exact."""
    solver: Solver = Solver()
    """For densities."""
    sampler: Solver | None = None
    """For sampling; the solver for densities if left out."""

    def build(self, dim: int, context_dim: int) -> list[Transform]:
        """Build the transforms over vectors of `dim` numbers, the first nearest to the data."""
        transforms: list[Transform] = [MovingBatchNorm(dim)] if self.batch_norm else []
        for _ in range(self.blocks):
            field = self.field.build(dim, context_dim)
            transforms.append(
                CNF(field, self.solver, sampler=self.sampler, divergence=self.divergence)
            )
            if self.batch_norm:
                transforms.append(MovingBatchNorm(dim))
        return transforms
