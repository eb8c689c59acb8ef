"""`pointgen generate`, `reconstruct` and `interpolate`: clouds out of a trained model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pointgen.cli.console import print_json, progress, say
from pointgen.cli.inputs import Shapes, read_shapes, torch_device
from pointgen.cli.options import (
    Count,
    Device,
    Force,
    Guidance,
    Json,
    OptionalPoints,
    Out,
    Points,
    Run,
    Seed,
    Steps,
    Weights,
)
from pointgen.cli.sampling import sample, solved, solver_with
from pointgen.cli.together import bar, together

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pointgen.geometry.frames import Frame
    from pointgen.models import Autoencoder, Condition, PointCloudModel

__all__ = ["generate", "interpolate", "reconstruct"]

COMPARED = 2048  # points of each cloud in a reported Chamfer distance, which depends on the number


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
    category: Annotated[
        str | None, typer.Option(help="Only of this category, for a model that was told them.")
    ] = None,
    guidance: Guidance = 1.0,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Generate new clouds."""
    import torch

    from pointgen.files import check_target
    from pointgen.training.checkpoint import load

    with together() as share:
        if share.main:
            check_target(out, force=force)
        model = load(run, device=torch_device(device), weights=weights)
        condition = _of_category(run, category, guidance, model)
        with bar("generating", share) as advance:
            clouds = sample(
                model,
                count,
                points,
                seed=seed,
                temperature=temperature,
                solver=solver_with(steps),
                condition=condition,
                share=share,
                advance=advance,
            )
        evaluations = int(share.sum(torch.tensor(model.evaluations)))
    if share.main:
        more = {"run": str(run), "seed": seed, "evaluations": evaluations}
        _write(out, clouds, None, force=force, json=json, more=more)


def _of_category(
    run: Path, category: str | None, guidance: float, model: PointCloudModel
) -> Condition | None:
    """Return what samples are conditioned by, None if by nothing."""
    import torch

    from pointgen.models import Condition
    from pointgen.training.checkpoint import read_run

    if category is None:
        if guidance != 1:
            raise ValueError("--guidance: expected --category, to be guided by")
        return None
    known = read_run(run).model.categories
    if category not in known:
        told = f"one of {', '.join(known)}" if known else "a model that was told categories"
        raise ValueError(f"--category {category}: expected {told}")
    label = torch.tensor([known.index(category)], device=next(model.parameters()).device)
    return Condition(label=label, guidance=guidance)


def reconstruct(
    run: Run,
    inputs: Annotated[list[Path], typer.Argument(help="Clouds or meshes: files or folders.")],
    out: Out,
    points: OptionalPoints = None,
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
    model, encoded = _autoencoder(run, on, weights, seed)
    shapes = _read(inputs, seed)
    generator = torch.Generator().manual_seed(seed)
    results: list[Tensor] = []
    distances: list[float] = []
    with progress("reconstructing") as advance, torch.no_grad():
        for cloud in shapes.points:
            code, frame = encoded(cloud)
            decoded = model.decode(
                code, points or len(cloud), generator=generator, solver=solver_with(steps)
            )
            results.append(frame.undo(decoded[0].cpu()))
            both = (_thinned(c, COMPARED, seed) for c in (results[-1].numpy(), cloud))
            distances.append(chamfer(*(torch.from_numpy(c).unsqueeze(0) for c in both)).item())
            advance(len(results), len(shapes.points))
    more = {"run": str(run), "chamfer": dict(zip(shapes.ids, distances, strict=True))}
    _write(out, results, shapes.ids, force=force, json=json, more=more)
    if not json:
        mean = sum(distances) / len(distances)
        say(
            f"mean Chamfer to the inputs {mean:.3g} (squared units, both ways added, "
            f"at most {COMPARED} points)"
        )


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
    model, encoded = _autoencoder(run, on, weights, seed)
    shapes = _read([first, second], seed)
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
                code.unsqueeze(0), points, generator=noise, solver=solver_with(steps)
            )
            clouds.append(_blend(start_frame, end_frame, share).undo(cloud[0].cpu()))
            advance(len(clouds), count)
    _write(out, clouds, None, force=force, json=json, more={"run": str(run)})


def _blend(first: Frame, second: Frame, share: float) -> Frame:
    """Return the frame on the way from one to the other."""
    from pointgen.geometry.frames import Frame

    center = (1 - share) * first.center + share * second.center
    return Frame(center, first.scale ** (1 - share) * second.scale**share)


def _autoencoder(
    run: Path, device: str, weights: Literal["model", "best"], seed: int
) -> tuple[Autoencoder, Callable[[np.ndarray], tuple[Tensor, Frame]]]:
    """Load a model that encodes, and what maps a cloud (N, 3) to its code (1, C) and frame."""
    import numpy as np
    import torch

    from pointgen.geometry.frames import Frame, per_shape_frame
    from pointgen.models import Autoencoder
    from pointgen.training.checkpoint import load, read_run

    model = load(run, device=device, weights=weights)
    if not isinstance(model, Autoencoder):
        raise ValueError(f"{run}: its model has no encoder")
    data = read_run(run).data
    kind = data.normalize

    def encoded(cloud: np.ndarray) -> tuple[Tensor, Frame]:
        if kind == "shape_unit" or kind == "shape_bbox" or kind == "shape_std":
            frame = per_shape_frame(cloud, kind)
        else:
            frame = Frame(np.zeros(3), 1.0)
        # A maximum over points depends on their number: no more than in training.
        seen = frame.apply(_thinned(cloud, data.num_points, seed))
        return model.encode(torch.from_numpy(seen).to(device).unsqueeze(0)), frame

    return model, encoded


def _thinned(cloud: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return a random subset of a cloud (N, 3) that has more than `most` points."""
    import numpy as np

    from pointgen.geometry.sampling import resample

    return resample(cloud, most, np.random.default_rng(seed)) if len(cloud) > most else cloud


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
