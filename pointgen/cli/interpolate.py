"""`pointgen interpolate`: one shape turns into another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointgen.cli.console import progress
from pointgen.cli.encoding import autoencoder, read_inputs
from pointgen.cli.options import Count, Device, Force, Json, Out, Points, Run, Seed, Steps, Weights
from pointgen.cli.sampling import points_for, solver_with
from pointgen.cli.writing import write_results
from pointgen.devices import torch_device

if TYPE_CHECKING:
    from torch import Tensor

    from pointgen.geometry.frames import Frame

__all__ = ["interpolate"]


def interpolate(
    run: Run,
    first: Annotated[Path, typer.Argument(help="A cloud or mesh to start from.")],
    second: Annotated[Path, typer.Argument(help="A cloud or mesh to end at.")],
    out: Out,
    count: Count = 8,
    points: Points = None,
    seed: Seed = 0,
    steps: Steps = None,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Turn one shape into another, by way of their codes."""
    import torch

    from pointgen.files import check_target

    check_target(out, force=force)
    on = torch_device(device)
    model, encoded = autoencoder(run, on, weights, seed)
    num_points = points_for(model, points)
    shapes = read_inputs([first, second], seed)
    if len(shapes.points) != 2:
        raise ValueError(
            f"{first}, {second}: expected one shape each, got {len(shapes.points)} in all"
        )
    clouds: list[Tensor] = []
    with progress("interpolating") as advance, torch.no_grad():
        (start, start_frame), (end, end_frame) = (encoded(cloud) for cloud in shapes.points)
        for share, code in zip(
            torch.linspace(0, 1, count).tolist(),
            model.between(start[0], end[0], count),
            strict=True,
        ):
            # The same noise for every cloud, so that only the shape changes on the way.
            noise = torch.Generator().manual_seed(seed)
            cloud = model.decode(
                code.unsqueeze(0), num_points, generator=noise, solver=solver_with(steps)
            )
            clouds.append(_blend(start_frame, end_frame, share).undo(cloud[0].cpu()))
            advance(len(clouds), count)
    write_results(out, clouds, None, force=force, json=json, more={"run": str(run)})


def _blend(first: Frame, second: Frame, share: float) -> Frame:
    """Return the frame on the way from one to the other."""
    from pointgen.geometry.frames import Frame

    center = (1 - share) * first.center + share * second.center
    return Frame(center, first.scale ** (1 - share) * second.scale**share)
