"""`pointgen edit`: shapes with other legs, a higher back, or more of what they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointgen.cli.console import check_free, progress, say
from pointgen.cli.encoding import autoencoder, read_inputs
from pointgen.cli.options import Device, Force, Json, OptionalPoints, Out, Run, Seed, Steps, Weights
from pointgen.cli.pictured import CaptionedPng, write_png
from pointgen.cli.sampling import solver_with
from pointgen.cli.writing import write_results
from pointgen.devices import torch_device

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pointgen.models.interpretation import Interpretation

__all__ = ["edit"]

FAR = 5  # deviations of an attribute from the average shape's


def edit(
    run: Run,
    inputs: Annotated[list[Path], typer.Argument(help="Clouds or meshes: files or folders.")],
    out: Out,
    factor: Annotated[
        str | None, typer.Option(help="The factor that is taken over from the cloud of --from.")
    ] = None,
    donor: Annotated[
        Path | None, typer.Option("--from", help="A cloud or mesh to take the factor from.")
    ] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option(
            help="FACTOR=TIMES: how far the factor is from the average shape's; 0 makes it "
            "average, -1 the opposite. May be repeated."
        ),
    ] = None,
    put: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="ATTRIBUTE=VALUE, in the units of the data: move the attribute's factor until it "
            "has that value. May be repeated.",
        ),
    ] = None,
    count: Annotated[
        int,
        typer.Option("-n", "--count", min=1, help="Clouds on the way from unchanged to changed."),
    ] = 1,
    points: OptionalPoints = None,
    png: CaptionedPng = None,
    seed: Seed = 0,
    steps: Steps = None,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Change named factors of clouds or meshes, and leave the others.

    --factor with --from swaps a factor, --scale and --set move it; they are done in this order.
    `pointgen info RUN` says which factors and attributes there are.
    """
    import torch

    from pointgen.files import check_target
    from pointgen.models.interpretation import Interpretation

    if (factor is None) != (donor is None):
        raise ValueError("--factor and --from: expected both or neither")
    scales, values = _assignments("--scale", scale), _assignments("--set", put)
    if not (factor or scales or values):
        raise ValueError("expected --factor with --from, --scale or --set, got none of them")
    check_target(out, force=force)
    check_free(png, force=force, endings=(".png",))
    model, encoded = autoencoder(run, torch_device(device), weights, seed)
    if not isinstance(model, Interpretation):
        raise ValueError(
            f"{run}: its model has no named factors; one of kind interpretation, trained on the "
            "codes of another run, has (configs/edit_quickstart.toml)"
        )
    shapes = read_inputs(inputs, seed)
    with torch.no_grad():
        other = None if donor is None else encoded(_only(donor, seed))[0]
    changes = Changes(factor, other, scales, values)
    ids = [id if count == 1 else f"{id}-{step:02}" for id in shapes.ids for step in range(count)]
    check_target(out, force=force, ids=ids)
    shares = [1.0] if count == 1 else torch.linspace(0, 1, count).tolist()
    names = list(model.config.attributes)
    clouds: list[Tensor] = []
    drawn: list[np.ndarray] = []
    attributes: dict[str, dict[str, dict[str, float]]] = {}
    with progress("editing") as advance, torch.no_grad():
        for place, (id, cloud) in enumerate(zip(shapes.ids, shapes.points, strict=True)):
            code, frame = encoded(cloud)
            ways = torch.cat([code, *(changes.made(model, code, share) for share in shares)])
            made = []
            for way in ways.split(1):
                # The same noise each time, so that only the shape changes.
                noise = torch.Generator().manual_seed(seed)
                size = points or len(cloud)
                decoded = model.decode(way, size, generator=noise, solver=solver_with(steps))
                made.append(frame.undo(decoded[0].cpu()))
            clouds += made[1:]
            drawn += [cloud, *(one.numpy() for one in made)]
            before, after = model.attributes_of(ways[[0, -1]]).tolist()
            attributes[id] = {
                "before": dict(zip(names, before, strict=True)),
                "after": dict(zip(names, after, strict=True)),
            }
            advance(place + 1, len(shapes.ids))
    more = {"run": str(run), "attributes": attributes}
    write_results(out, clouds, ids, force=force, json=json, more=more)
    if not json:
        _say(model, changes, list(attributes.values()))
    if png is not None:
        edited = ["edited"] if count == 1 else [f"{100 * share:.0f} %" for share in shares]
        titles = [text for id in shapes.ids for text in (id, "as the run sees it", *edited)]
        write_png(png, drawn, titles, columns=2 + count)


def _say(
    model: Interpretation, changes: Changes, rows: Sequence[dict[str, dict[str, float]]]
) -> None:
    """Say what became of the attributes of all factors that were touched."""
    owners = model.config.attributes
    touched = {changes.factor, *(name for name, _ in changes.scales)}
    touched |= {owners[name] for name, _ in changes.values}
    for name, owner in owners.items():
        if owner in touched:
            before, after = (
                sum(row[when][name] for row in rows) / len(rows) for when in ("before", "after")
            )
            say(f"{name}, on average: {before:.3g} before, {after:.3g} after")
    for name, value in changes.values:
        if abs(model.standardised(name, value)) > FAR:
            say(f"warning: {name}={value:g} is far from all that the run has seen")


@dataclass(frozen=True)
class Changes:
    """What becomes of the code of a shape.

    Attributes:
        factor: is taken over from the donor.
        donor: (1, C), its code.
        scales: how many times as far from the average a factor is to be.
        values: which value an attribute is to have.
    """

    factor: str | None
    donor: Tensor | None
    scales: Sequence[tuple[str, float]]
    values: Sequence[tuple[str, float]]

    def made(self, model: Interpretation, code: Tensor, share: float) -> Tensor:
        """Return the code (1, C) after that share of all changes to a code (1, C)."""
        if self.factor is not None and self.donor is not None:
            code = model.swapped(code, self.donor, self.factor, share)
        for factor, times in self.scales:
            code = model.scaled(code, factor, 1 + share * (times - 1))
        for attribute, value in self.values:
            code = model.put(code, attribute, value, share)
        return code


def _assignments(option: str, texts: list[str] | None) -> list[tuple[str, float]]:
    """Split texts NAME=NUMBER."""
    found = []
    for text in texts or ():
        name, equals, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (name and equals and math.isfinite(value)):
            raise ValueError(f"{option} {text}: expected NAME=NUMBER, as legs=1.5")
        found.append((name, value))
    return found


def _only(path: Path, seed: int) -> np.ndarray:
    shapes = read_inputs([path], seed)
    if len(shapes.points) != 1:
        raise ValueError(f"{path}: expected one shape, got {len(shapes.points)}")
    return shapes.points[0]
