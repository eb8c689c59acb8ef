"""`pointgen evaluate`: the metric sheet of generated clouds against real ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pointgen.cli.console import check_free, print_json, write_json
from pointgen.cli.inputs import is_run, read_shapes, torch_device
from pointgen.cli.options import Device, Force, Json, OptionalPoints, Seed, Weights
from pointgen.cli.sampling import sample
from pointgen.cli.together import bar, node_first, together

if TYPE_CHECKING:
    from torch import Tensor

    from pointgen.metrics.sheet import Sheet
    from pointgen.processes import Share

__all__ = ["evaluate"]

Split = Literal["train", "val", "test"]


def evaluate(
    samples: Annotated[
        Path, typer.Argument(help="A run (as many new clouds as references), a file or a folder.")
    ],
    reference: Annotated[
        Path, typer.Argument(help="A run (the held-out shapes of its data), a file or a folder.")
    ],
    oracle: Annotated[
        Path | None,
        typer.Option(
            help="Real clouds to score beside the samples. Default, where the reference "
            "is a run: as many of its training shapes."
        ),
    ] = None,
    points: OptionalPoints = None,
    split: Annotated[Split, typer.Option(help="Which split of a run's data is held out.")] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write the sheet as JSON here.")
    ] = None,
    seed: Seed = 0,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Score clouds against real ones: MMD, COV and 1-NNA by Chamfer distance."""
    from pointgen.metrics.sheet import evaluate as score

    with together() as share:
        on = torch_device(device)
        if share.main:
            check_free(out, force=force)
        given = None if is_run(samples) else _clouds(samples, None, seed)  # quick to fail, so first
        real, beside = node_first(lambda: _reference(reference, oracle, split, points, seed), share)
        made = _generated(samples, real, seed, weights, on, share) if given is None else given
        with bar("scoring", share) as advance:
            sheet = score(
                made.to(on),
                real.to(on),
                oracle=None if beside is None else beside.to(on),
                seed=seed,
                progress=advance,
                share=share,
            )
    if not share.main:
        return
    result = _described(sheet, samples, reference, split)
    if out is not None:
        write_json(out, result)
    if json:
        print_json(result)
    else:
        typer.echo(str(sheet))


def _reference(
    reference: Path, oracle: Path | None, split: Split, points: int | None, seed: int
) -> tuple[Tensor, Tensor | None]:
    """Return the real clouds to compare with, and others to score beside the samples."""
    beside = None if oracle is None else _clouds(oracle, points, seed)
    if not is_run(reference):
        return _clouds(reference, points, seed), beside
    from pointgen.training.checkpoint import read_run

    data = read_run(reference).data
    if points is not None:
        data = data.model_copy(update={"num_points": points})
    real = data.build(split).points()
    if beside is None and split != "train":
        beside = data.build("train").points(len(real))
    return real, beside


def _generated(
    samples: Path,
    real: Tensor,
    seed: int,
    weights: Literal["model", "best"],
    device: str,
    share: Share,
) -> Tensor:
    from pointgen.training.checkpoint import load

    model = load(samples, device=device, weights=weights)
    with bar("generating", share) as advance:
        return sample(model, len(real), real.shape[1], seed=seed, share=share, advance=advance)


def _clouds(path: Path, points: int | None, seed: int) -> Tensor:
    return read_shapes(path, num_points=points, seed=seed).stacked(str(path))


def _described(sheet: Sheet, samples: Path, reference: Path, split: Split) -> dict[str, Any]:
    origin = {"samples_from": str(samples), "reference_from": str(reference)}
    return origin | ({"split": split} if is_run(reference) else {}) | sheet.to_json()
