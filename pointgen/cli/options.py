"""Options that several verbs share, and their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "Count",
    "Device",
    "Force",
    "Json",
    "OptionalPoints",
    "Out",
    "Points",
    "Run",
    "Seed",
    "Split",
    "Steps",
    "Weights",
]

# As the datasets name them, which would bring torch along.
Split = Literal["train", "val", "test"]

Run = Annotated[Path, typer.Argument(help="Folder of a run, or one .safetensors file in it.")]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        help="Where to write. The ending picks the format: .npy .npz .h5 (all in one file), "
        ".ply .xyz .pcd (one file each); none: a folder of .ply.",
    ),
]
Count = Annotated[int, typer.Option("-n", "--count", min=1, help="How many clouds.")]
Points = Annotated[
    int | None,
    typer.Option(min=1, help="Points of each cloud. Default: 2048, or as many as the model has."),
]
OptionalPoints = Annotated[int | None, typer.Option(min=1, help="Points of each cloud.")]
Seed = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same result.")
]
Steps = Annotated[
    int | None,
    typer.Option(min=1, help="Solver steps: more are finer and slower. Default: the run's own."),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")]
Weights = Annotated[
    Literal["model", "best"],
    typer.Option(help="The last weights, or those of the lowest validation loss."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Code = Annotated[
    Literal["sample", "mean", "mode"],
    typer.Option(
        help="What is decoded for a picture: a random shape code, the mean of 16, or the likeliest."
    ),
]
Guidance = Annotated[
    float,
    typer.Option(
        min=0.0, help="Above 1 follows the picture or category more closely, with less variety."
    ),
]
