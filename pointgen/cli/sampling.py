"""Drawing clouds from a model with progress, and what to do with those that failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pointgen.cli.console import say

if TYPE_CHECKING:
    from torch import Tensor

    from pointgen.flows.continuous import Solver
    from pointgen.models import PointCloudModel

__all__ = ["sample", "solved", "solver_with"]

CHUNK = 16  # clouds at a time, so that a bar can move


def solver_with(steps: int | None) -> Solver | None:
    """Return a fixed-step solver, or None for the run's own."""
    from pointgen.flows.continuous import Solver

    return None if steps is None else Solver(method="heun", steps=steps)


def sample(
    model: PointCloudModel,
    count: int,
    num_points: int,
    *,
    seed: int,
    temperature: float = 1.0,
    solver: Solver | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Draw clouds (count, num_points, 3) on the CPU; failed ones are NaN.

    The noise comes from the CPU, so that a seed gives the same clouds on every device, up to
    rounding.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    clouds: list[Tensor] = []
    for start in range(0, count, CHUNK):
        drawn = model.sample(
            min(CHUNK, count - start),
            num_points,
            generator=generator,
            temperature=temperature,
            solver=solver,
        )
        clouds.append(drawn.float().cpu())
        if advance is not None:
            advance(start + len(drawn), count)
    return torch.cat(clouds)


def solved(clouds: Sequence[Tensor] | Tensor) -> list[int]:
    """Return the places of the finite clouds, each (N, 3), and warn of the others.

    Raises:
        ArithmeticError: None is finite.
    """
    places = [place for place, cloud in enumerate(clouds) if bool(cloud.isfinite().all())]
    failed = len(clouds) - len(places)
    if not places:
        raise ArithmeticError(f"none of {failed} clouds could be solved")
    if failed:
        say(f"warning: {failed} of {len(clouds)} clouds could not be solved and are left out")
    return places
