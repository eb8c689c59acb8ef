"""`pointgen data damage`: clouds as bad as a scanner's, to try on them what restores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointgen.cli.encoding import read_inputs
from pointgen.cli.options import Force, Json, OptionalPoints, Out, Seed
from pointgen.cli.writing import write_results

__all__ = ["damage"]


def damage(
    inputs: Annotated[list[Path], typer.Argument(help="Clouds or meshes: files or folders.")],
    out: Out,
    missing: Annotated[
        float, typer.Option(min=0.0, max=0.99, help="Share of the points to take from one side.")
    ] = 0.0,
    points: OptionalPoints = None,
    noise: Annotated[
        float, typer.Option(min=0.0, help="Standard deviation of noise, in units of the clouds.")
    ] = 0.0,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Take a side from clouds, leave only some of their --points, and add noise: in this order."""
    import torch

    from pointgen.files import check_target
    from pointgen.geometry.damage import blurred, cut, kept

    if not (missing or points or noise):
        raise ValueError("expected --missing, --points or --noise, got none of them")
    check_target(out, force=force)
    shapes = read_inputs(inputs, seed)
    generator = torch.Generator().manual_seed(seed)
    damaged = []
    for name, cloud in zip(shapes.ids, shapes.points, strict=True):
        some = cut(torch.from_numpy(cloud).unsqueeze(0), missing, generator)
        if points is not None and points > some.shape[1]:
            raise ValueError(f"{name}: --points {points}, but only {some.shape[1]} are left")
        some = some if points is None else kept(some, points, generator)
        damaged.append(blurred(some, noise, generator)[0])
    more = {"missing": missing, "points": points, "noise": noise}
    write_results(out, damaged, shapes.ids, force=force, json=json, more=more)
