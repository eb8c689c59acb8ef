"""`pointgen reconstruct`: clouds from pictures, or clouds and meshes through a model and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointgen.cli.console import progress, refuse, say
from pointgen.cli.drawn import to_pictures
from pointgen.cli.encoding import COMPARED, autoencoder, distance, read_inputs, thinned
from pointgen.cli.options import (
    Code,
    Device,
    Force,
    Guidance,
    Json,
    OptionalPoints,
    Out,
    Run,
    Seed,
    Steps,
    Weights,
)
from pointgen.cli.photo_files import are_photos
from pointgen.cli.photos import Request, from_photos
from pointgen.cli.sampling import solver_with
from pointgen.cli.writing import write_results
from pointgen.devices import torch_device

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["reconstruct"]


def reconstruct(
    run: Run,
    inputs: Annotated[
        list[Path], typer.Argument(help="Pictures, or clouds or meshes: files or folders.")
    ],
    out: Out,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Clouds per picture.")] = 1,
    points: OptionalPoints = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="White where the object is: a picture for the one picture, or a folder of them "
            "with the names of the pictures."
        ),
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="What the pictures show, for a model that was told.")
    ] = None,
    code: Code = "sample",
    guidance: Guidance = 1.0,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="Spread of the shape noise for a picture.")
    ] = 1.0,
    score: Annotated[
        bool,
        typer.Option(
            "--score", help="Say the log-likelihood of each cloud: up to a minute each on a CPU."
        ),
    ] = False,
    png: Annotated[
        Path | None, typer.Option(help="Also draw each picture beside its clouds, to this file.")
    ] = None,
    seed: Seed = 0,
    steps: Steps = None,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Turn pictures into clouds; or encode clouds or meshes and decode them, in their own units.

    Of a picture the model sees the square around the object, on the background it was trained
    with. The object is what the picture's transparency or --mask shows; without either, what
    differs from a plain background; else the whole picture. A model that was trained in the
    viewer's frame makes clouds as the camera sees them. A C-Flow that goes the other way draws
    pictures of clouds.
    """
    from pointgen.training.checkpoint import read_run

    request = Request(
        count, points, mask, category, code, guidance, temperature, score, png,
        seed, steps, weights, device, force, json,
    )  # fmt: skip
    model = read_run(run).model
    if model.kind == "cflow" and model.direction == "cloud_to_image":
        to_pictures(run, inputs, out, request)
    elif not are_photos(inputs, wanted=model.image_size is not None):
        _through(run, inputs, out, request)
    elif from_photos(run, inputs, out, request):
        raise typer.Exit(1)


def _through(run: Path, inputs: list[Path], out: Path, request: Request) -> None:
    """Encode clouds or meshes and decode them again."""
    import torch

    from pointgen.files import check_target
    from pointgen.training.making import most_points

    unfit: dict[str, object] = {"--count": request.count != 1, "--mask": request.mask}
    unfit |= {"--png": request.png, "--category": request.category, "--score": request.score}
    unfit |= {"--code": request.code != "sample", "--guidance": request.guidance != 1}
    unfit |= {"--temperature": request.temperature != 1}
    refuse(unfit, f"is for pictures, and {inputs[0]} holds none")
    seed, points = request.seed, request.points
    check_target(out, force=request.force)
    on = torch_device(request.device)
    model, encoded = autoencoder(run, on, request.weights, seed)
    shapes = read_inputs(inputs, seed)
    check_target(out, force=request.force, ids=shapes.ids)
    generator = torch.Generator().manual_seed(seed)
    results: list[Tensor] = []
    distances: list[float] = []
    with progress("reconstructing") as advance, torch.no_grad():
        for cloud in shapes.points:
            code, frame = encoded(cloud)
            size = most_points(model, len(cloud))
            decoded = model.decode(
                code,
                points or size,
                generator=generator,
                solver=solver_with(request.steps),
            )
            results.append(frame.undo(decoded[0].cpu()))
            # A model that takes so many points and no others gives back those that it was shown.
            seen = thinned(cloud, size, seed)
            distances.append(distance(results[-1].numpy(), seen, seed))
            advance(len(results), len(shapes.points))
    more = {"run": str(run), "chamfer": dict(zip(shapes.ids, distances, strict=True))}
    write_results(out, results, shapes.ids, force=request.force, json=request.json, more=more)
    if not request.json:
        mean = sum(distances) / len(distances)
        say(
            f"mean Chamfer to the inputs {mean:.3g} (squared units, both ways added, "
            f"at most {COMPARED} points)"
        )
