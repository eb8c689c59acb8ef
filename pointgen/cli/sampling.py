"""Drawing clouds from a model with progress, and what to do with those that failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pointgen.cli.console import say

if TYPE_CHECKING:
    from torch import Tensor

    from pointgen.flows.solver import Solver
    from pointgen.models import Autoencoder, Condition, PointCloudModel
    from pointgen.processes import Share

__all__ = ["USUAL_POINTS", "points_for", "sample", "solved", "solver_with", "told"]

USUAL_POINTS = 2048  # of a cloud where nothing else is asked for: the field's usual number
CHUNK = 16  # clouds with noise of their own seed: what one process draws at a time


def points_for(model: PointCloudModel | Autoencoder, wanted: int | None) -> int:
    """Return how many points a cloud of the model is to have, where nobody says too."""
    from pointgen.training.making import most_points

    return wanted or most_points(model, USUAL_POINTS)


def told(label: int, guidance: float, model: PointCloudModel) -> Condition:
    """Return the condition that asks a model for a category, for all its clouds."""
    import torch

    from pointgen.models import Condition

    on = next(model.parameters()).device
    return Condition(label=torch.tensor([label], device=on), guidance=guidance)


def solver_with(steps: int | None) -> Solver | None:
    """Return a fixed-step solver, or None for the run's own."""
    from pointgen.flows.solver import Solver

    return None if steps is None else Solver(method="midpoint", steps=steps)


def sample(
    model: PointCloudModel,
    count: int,
    num_points: int | None,
    *,
    seed: int,
    temperature: float = 1.0,
    solver: Solver | None = None,
    condition: Condition | None = None,
    frames: int | None = None,
    share: Share | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Draw clouds (count, num_points, 3) on the CPU; failed ones are NaN.

    With `frames` the result is (count, frames, num_points, 3): their way from noise, with the
    clouds at the end.

    The noise comes from the CPU, so that a seed gives the same clouds on every device, up to
    rounding. A condition has one row, for all of them. Several processes draw a share each, and get
    all the clouds that one would draw.

    Raises:
        ValueError: Frames are wanted of a model whose points are not carried over a time.
    """
    import torch

    from pointgen.models import Watchable
    from pointgen.processes import ALONE

    if frames is not None and not isinstance(model, Watchable):
        raise ValueError("frames: this model's clouds are not carried from noise over a time")
    share, num_points = share or ALONE, points_for(model, num_points)
    shape = (count, num_points, 3) if frames is None else (count, frames, num_points, 3)
    clouds = torch.full(shape, torch.nan, dtype=torch.float32)
    pieces = clouds.split(CHUNK)
    for number in share.of(len(pieces)):
        size = len(pieces[number])
        generator = torch.Generator().manual_seed(_seed(seed, number))
        options: Any = {
            "generator": generator,
            "temperature": temperature,
            "solver": solver,
            "condition": condition,
        }
        if frames is None:
            drawn = model.sample(size, num_points, **options)
        else:
            assert isinstance(model, Watchable)
            codes = model.codes(size, **options)
            drawn = model.trajectory(codes, num_points, frames, generator=generator, solver=solver)
        pieces[number].copy_(drawn)
        if advance is not None:
            advance(min(count, (number + share.size) * CHUNK), count)
    share.collect(pieces)
    return clouds


def _seed(seed: int, piece: int) -> int:
    """Return the seed of a piece: that of the first one is the person's own."""
    from pointgen.training.stream import Use, mix

    return mix(seed, Use.SAMPLE, piece) if piece else seed


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
