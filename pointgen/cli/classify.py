"""`pointgen classify`: which category clouds are of, for a model that tells categories apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointgen.cli.console import print_json, progress
from pointgen.cli.encoding import read_inputs, seeing
from pointgen.cli.inputs import torch_device
from pointgen.cli.options import Device, Json, Run, Seed, Weights

__all__ = ["classify"]


def classify(
    run: Run,
    inputs: Annotated[list[Path], typer.Argument(help="Clouds or meshes: files or folders.")],
    seed: Seed = 0,
    weights: Weights = "model",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Say how probable each category is for each cloud or mesh."""
    import torch

    from pointgen.models import Classifier
    from pointgen.training.checkpoint import load

    on = torch_device(device)
    model = load(run, device=on, weights=weights)
    if not isinstance(model, Classifier):
        raise ValueError(f"{run}: its model does not tell categories apart")
    seen, shapes = seeing(run, on, seed), read_inputs(inputs, seed)
    found: dict[str, dict[str, float]] = {}
    with progress("classifying") as advance, torch.no_grad():
        for id, cloud in zip(shapes.ids, shapes.points, strict=True):
            points, _ = seen(cloud)
            try:
                row = model.classify(points)[0].tolist()
            except ValueError as error:  # it is about the cloud, so say which
                raise ValueError(f"{id}: {error}") from error
            found[id] = dict(zip(model.categories, row, strict=True))
            advance(len(found), len(shapes.ids))
    if json:
        print_json({"run": str(run), "categories": list(model.categories), "clouds": found})
    else:
        typer.echo(_table(found))


def _table(found: dict[str, dict[str, float]]) -> str:
    """Return a line for each cloud: the likeliest category, then the probability of each."""
    categories = list(next(iter(found.values())))
    rows = [["", "likeliest", *categories]]
    for id, row in found.items():
        shares = (f"{100 * share:.1f} %" for share in row.values())
        rows.append([id, max(row, key=lambda name: row[name]), *shares])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([*map(str.ljust, row[:2], widths), *map(str.rjust, row[2:], widths[2:])])
        for row in rows
    )
