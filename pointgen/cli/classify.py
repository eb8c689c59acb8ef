"""`pointgen classify`: which category clouds are of, for a model that tells categories apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointgen.cli.console import print_json, progress, say
from pointgen.cli.encoding import read_inputs, seeing
from pointgen.cli.inputs import torch_device
from pointgen.cli.options import Device, Force, Json, Run, Seed, Weights
from pointgen.cli.pictured import CaptionedPng, check_png, write_png
from pointgen.cli.score import How, Scorer

if TYPE_CHECKING:
    from torch import Tensor

    from pointgen.models import Classifier

__all__ = ["classify"]

DRAWS, STEPS = 2, 8  # codes and solver steps of a surprise, which only has to be compared
UNKNOWN = "unknown"


def classify(
    run: Run,
    inputs: Annotated[list[Path], typer.Argument(help="Clouds or meshes: files or folders.")],
    reject: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Call clouds unknown whose log p(X) is further from what is usual in their "
            "likeliest category than that of all but this share of the held-out (val) shapes.",
        ),
    ] = None,
    png: CaptionedPng = None,
    seed: Seed = 0,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Say how probable each category is for each cloud or mesh."""
    import torch

    from pointgen.flows.continuous import CNF
    from pointgen.models import Classifier
    from pointgen.training.checkpoint import load

    check_png(png, force=force)
    on = torch_device(device)
    model = load(run, device=on, weights=weights)
    if not isinstance(model, Classifier):
        raise ValueError(
            f"{run}: its model does not tell categories apart; one of kind hybrid or irevnet does "
            "(configs/hybrid_quickstart.toml, configs/irevnet_quickstart.toml)"
        )
    scorer = None
    if reject is not None:  # before the work: not every classifier has densities
        steps = STEPS if any(isinstance(part, CNF) for part in model.modules()) else None
        scorer = Scorer(run, How(DRAWS, 0.0, steps, seed, weights, on), 0, None)
    seen, shapes = seeing(run, on, seed), read_inputs(inputs, seed)
    clouds, rows = [], []
    with progress("classifying") as advance, torch.no_grad():
        for id, cloud in zip(shapes.ids, shapes.points, strict=True):
            points, _ = seen(cloud)
            try:
                rows.append(model.classify(points)[0])
            except ValueError as error:  # it is about the cloud, so say which
                raise ValueError(f"{id}: {error}") from error
            clouds.append(points[0])
            advance(len(rows), len(shapes.ids))
    shares = torch.stack(rows).cpu()
    found: dict[str, dict[str, float]] = {
        id: dict(zip(model.categories, row.tolist(), strict=True))
        for id, row in zip(shapes.ids, shares, strict=True)
    }
    result: dict[str, Any] = {"run": str(run), "categories": list(model.categories)}
    result["clouds"] = found
    if scorer is not None and reject is not None:
        unlike, limit = _unlike(run, model, scorer, clouds, shares.argmax(-1), reject)
        result["unlikeness"] = dict(zip(shapes.ids, unlike, strict=True))
        result["limit"] = limit
        result["unknown"] = [id for id, value in result["unlikeness"].items() if not value <= limit]
    unknown = set(result.get("unknown", ()))
    if png is not None:
        titles = [
            UNKNOWN if id in unknown else f"{_likeliest(row)}, {100 * max(row.values()):.0f} %"
            for id, row in found.items()
        ]
        write_png(png, shapes.points, titles)
    if json:
        print_json(result)
        return
    typer.echo(_table(found, result.get("unlikeness"), unknown))
    if reject is not None:
        say(
            f"unlike: how many standard deviations log p(X) is from that of held-out shapes of the "
            f"category; above {result['limit']:.2f} ({100 * reject:g} % of them) a cloud is unknown"
        )


def _unlike(
    run: Path,
    model: Classifier,
    scorer: Scorer,
    clouds: list[Tensor],
    category: Tensor,
    share: float,
) -> tuple[list[float], float]:
    """Return how unlike the known each cloud is, and what that is for a share of the known."""
    import numpy as np

    from pointgen.batch import collate
    from pointgen.metrics.outliers import unlikeness
    from pointgen.training.checkpoint import read_run
    from pointgen.training.making import classified

    with progress("preparing held-out shapes") as advance:
        held_out = read_run(run).data.build("val", progress=advance)
    batch = collate(list(held_out))
    known_points = batch.points.to(clouds[0].device)
    known_category = classified(model, known_points).argmax(-1).numpy()
    known = scorer.surprises([points.numpy() for points in batch.points], "scoring the known")
    ours = scorer.surprises([points.cpu().numpy() for points in clouds], "scoring")
    try:
        usual = unlikeness(known, known_category, known, known_category)
        found = unlikeness(ours, category.numpy(), known, known_category)
    except ValueError as error:
        raise ValueError(f"--reject: the val split of {run}: {error}") from error
    return found.tolist(), float(np.quantile(usual, 1 - share))


def _table(
    found: dict[str, dict[str, float]], unlike: dict[str, float] | None, unknown: set[str]
) -> str:
    """Return a line for each cloud: the likeliest category, then the probability of each."""
    categories = list(next(iter(found.values())))
    rows = [["", "likeliest", *categories]]
    for id, row in found.items():
        likeliest = UNKNOWN if id in unknown else _likeliest(row)
        rows.append([id, likeliest, *(f"{100 * share:.1f} %" for share in row.values())])
    if unlike is not None:
        last = ["unlike", *(f"{value:.2f}" for value in unlike.values())]
        rows = [[*row, cell] for row, cell in zip(rows, last, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([*map(str.ljust, row[:2], widths), *map(str.rjust, row[2:], widths[2:])])
        for row in rows
    )


def _likeliest(row: dict[str, float]) -> str:
    return max(row, key=lambda name: row[name])
