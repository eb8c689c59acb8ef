"""`pointgen generate`, `reconstruct` and `interpolate`: clouds out of a trained model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pointgen.cli.console import print_json, progress, say
from pointgen.cli.inputs import Shapes, read_shapes, torch_device
from pointgen.cli.options import Count, Device, Force, Json, Out, Points, Run, Seed, Steps, Weights
from pointgen.cli.sampling import sample, solved, solver_with

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pointgen.geometry.frames import Frame
    from pointgen.models import Autoencoder

__all__ = ["generate", "interpolate", "reconstruct"]


def generate(
    run: Run,
    out: Out,
    count: Count = 16,
    points: Points = 2048,
    seed: Seed = 0,
    steps: Steps = None,
    temperature: Annotated[
        float,
        typer.Option(min=0.0, help="Spread of the shape noise: below 1 more typical, less varied."),
    ] = 1.0,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Generate new clouds."""
    from pointgen.files import check_target
    from pointgen.training.checkpoint import load

    check_target(out, force=force)
    model = load(run, device=torch_device(device), weights=weights)
    with progress("generating") as advance:
        clouds = sample(
            model,
            count,
            points or 2048,
            seed=seed,
            temperature=temperature,
            solver=solver_with(steps),
            advance=advance,
        )
    more = {"run": str(run), "seed": seed, "evaluations": model.evaluations}
    _write(out, clouds, None, force=force, json=json, more=more)


def reconstruct(
    run: Run,
    inputs: Annotated[list[Path], typer.Argument(help="Clouds or meshes: files or folders.")],
    out: Out,
    points: Points = None,
    seed: Seed = 0,
    steps: Steps = None,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Encode clouds or meshes and decode them again, in their own units."""
    import torch

    from pointgen.files import check_target
    from pointgen.geometry.distances import chamfer

    check_target(out, force=force)
    on = torch_device(device)
    model, frame_of = _autoencoder(run, on, weights)
    shapes = _read(inputs, seed)
    generator = torch.Generator().manual_seed(seed)
    results: list[Tensor] = []
    with progress("reconstructing") as advance, torch.no_grad():
        for done, cloud in enumerate(shapes.points, start=1):
            frame = frame_of(cloud)
            codes = model.encode(torch.from_numpy(frame.apply(cloud)).to(on).unsqueeze(0))
            decoded = model.decode(
                codes, points or len(cloud), generator=generator, solver=solver_with(steps)
            )
            results.append(frame.undo(decoded[0].cpu()))
            advance(done, len(shapes.points))
    distances = [
        chamfer(result.unsqueeze(0), torch.from_numpy(cloud).unsqueeze(0)).item()
        for result, cloud in zip(results, shapes.points, strict=True)
    ]
    more = {"run": str(run), "chamfer": dict(zip(shapes.ids, distances, strict=True))}
    _write(out, results, shapes.ids, force=force, json=json, more=more)
    if not json:
        mean = sum(distances) / len(distances)
        say(f"mean Chamfer to the inputs {mean:.3g} (squared units, both ways added)")


def interpolate(
    run: Run,
    first: Annotated[Path, typer.Argument(help="A cloud or mesh to start from.")],
    second: Annotated[Path, typer.Argument(help="A cloud or mesh to end at.")],
    out: Out,
    count: Count = 8,
    points: Points = 2048,
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
    model, frame_of = _autoencoder(run, on, weights)
    shapes = _read([first, second], seed)
    if len(shapes.points) != 2:
        raise ValueError(
            f"{first}, {second}: expected one shape each, got {len(shapes.points)} in all"
        )
    clouds: list[Tensor] = []
    with progress("interpolating") as advance, torch.no_grad():
        frames = [frame_of(cloud) for cloud in shapes.points]
        ends = [
            model.encode(torch.from_numpy(frame.apply(cloud)).to(on).unsqueeze(0))[0]
            for frame, cloud in zip(frames, shapes.points, strict=True)
        ]
        for share, code in zip(
            torch.linspace(0, 1, count).tolist(),
            model.between(ends[0], ends[1], count),
            strict=True,
        ):
            # The same noise for every cloud, so that only the shape changes on the way.
            noise = torch.Generator().manual_seed(seed)
            cloud = model.decode(
                code.unsqueeze(0), points or 2048, generator=noise, solver=solver_with(steps)
            )
            clouds.append(_blend(frames[0], frames[1], share).undo(cloud[0].cpu()))
            advance(len(clouds), count)
    _write(out, clouds, None, force=force, json=json, more={"run": str(run)})


def _blend(first: Frame, second: Frame, share: float) -> Frame:
    """Return the frame on the way from one to the other."""
    from pointgen.geometry.frames import Frame

    center = (1 - share) * first.center + share * second.center
    return Frame(center, first.scale ** (1 - share) * second.scale**share)


def _autoencoder(
    run: Path, device: str, weights: Literal["model", "best"]
) -> tuple[Autoencoder, Callable[[np.ndarray], Frame]]:
    """Load a model that encodes, and the frame in which it wants a cloud."""
    import numpy as np

    from pointgen.geometry.frames import Frame, per_shape_frame
    from pointgen.models import Autoencoder
    from pointgen.training.checkpoint import load, read_run

    model = load(run, device=device, weights=weights)
    if not isinstance(model, Autoencoder):
        raise ValueError(f"{run}: its model has no encoder")
    kind = read_run(run).data.normalize
    if kind == "shape_unit" or kind == "shape_bbox" or kind == "shape_std":
        return model, lambda cloud: per_shape_frame(cloud, kind)
    return model, lambda cloud: Frame(np.zeros(3), 1.0)


def _read(inputs: Sequence[Path], seed: int) -> Shapes:
    parts = [read_shapes(path, seed=seed) for path in inputs]
    ids = [name for part in parts for name in part.ids]
    if len(set(ids)) < len(ids):  # the same name in two places
        ids = [f"{number}/{name}" for number, part in enumerate(parts) for name in part.ids]
    return Shapes(ids, [cloud for part in parts for cloud in part.points])


def _write(
    out: Path,
    clouds: Sequence[Tensor] | Tensor,
    ids: Sequence[str] | None,
    *,
    force: bool,
    json: bool,
    more: dict[str, Any],
) -> None:
    """Write the clouds that are finite, and say which files hold how many, and what failed."""
    from pointgen.files import write_clouds

    places = solved(clouds)
    failed = len(clouds) - len(places)
    kept = [clouds[place].numpy() for place in places]
    names = None if ids is None else [ids[place] for place in places]
    files = write_clouds(out, kept, ids=names, force=force)
    if json:
        print_json(more | {"files": files, "clouds": len(kept), "failed": failed})
    else:
        say(f"clouds: {len(kept)}, in {files[0] if len(files) == 1 else out}")
