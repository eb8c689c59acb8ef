"""`pointgen complete`, `denoise` and `upsample`: what damaged clouds were before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointgen.cli.options import Device, Force, Json, OptionalPoints, Out, Run, Seed, Steps, Weights
from pointgen.cli.restoring import Request, restored

__all__ = ["complete", "denoise", "upsample"]

Inputs = Annotated[
    list[Path], typer.Argument(help="Damaged clouds, or meshes to draw points of: files, folders.")
]
Results = Annotated[
    int,
    typer.Option(
        "-n", "--count", min=1, help="Results of each input: of a PointFlow, the likeliest first."
    ),
]
Iterations = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Steps of an i-RIM (default: those that the run learnt; many more lead astray), or of "
        "the search for a PointFlow's codes (default: 200).",
    ),
]
Starts = Annotated[
    int | None,
    typer.Option(
        min=1, help="Places that the search for a PointFlow's codes starts from (default: 8)."
    ),
]
Truth = Annotated[
    Path | None,
    typer.Option(
        help="The undamaged clouds, in the order of the inputs: say how far the results are from "
        "them, step by step."
    ),
]
Png = Annotated[
    Path | None, typer.Option(help="Also draw each input beside its results, to this file.")
]


def complete(
    run: Run,
    inputs: Inputs,
    out: Out,
    points: OptionalPoints = None,
    count: Results = 1,
    iterations: Iterations = None,
    starts: Starts = None,
    truth: Truth = None,
    png: Png = None,
    seed: Seed = 0,
    steps: Steps = None,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Make clouds whole of which a side is missing.

    RUN is an i-RIM, or a PointFlow with a prior, whose likeliest codes for a cloud are decoded.
    Clouds get as many points as those of the training, or as are given if that is more.

    It works best with a run whose data.normalize is none of shape_*: what is left of a shape has
    another frame than the whole shapes of the training.
    """
    restored(
        run,
        inputs,
        out,
        Request(
            "complete", points, count, iterations, starts, truth, png, seed, steps, weights, device,
            force, json,
        ),
    )  # fmt: skip


def denoise(
    run: Run,
    inputs: Inputs,
    out: Out,
    points: OptionalPoints = None,
    count: Results = 1,
    iterations: Iterations = None,
    starts: Starts = None,
    truth: Truth = None,
    png: Png = None,
    seed: Seed = 0,
    steps: Steps = None,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Move noisy points back to the surface.

    RUN is an i-RIM, which keeps the points in their order, or a PointFlow with a prior, which draws
    as many new ones.
    """
    restored(
        run,
        inputs,
        out,
        Request(
            "denoise", points, count, iterations, starts, truth, png, seed, steps, weights, device,
            force, json,
        ),
    )  # fmt: skip


def upsample(
    run: Run,
    inputs: Inputs,
    out: Out,
    points: OptionalPoints = None,
    factor: Annotated[
        int, typer.Option(min=1, help="Points for each given one, where --points says nothing.")
    ] = 4,
    count: Results = 1,
    iterations: Iterations = None,
    starts: Starts = None,
    truth: Truth = None,
    png: Png = None,
    seed: Seed = 0,
    steps: Steps = None,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Make many points of few.

    RUN is an i-RIM, or a PointFlow with a prior.
    """
    restored(
        run,
        inputs,
        out,
        Request(
            "upsample", points, count, iterations, starts, truth, png, seed, steps, weights, device,
            force, json, factor,
        ),
    )  # fmt: skip
