"""Pictures into clouds: the part of `pointgen reconstruct` that is for photos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from pointgen.cli.console import check_free, progress, say
from pointgen.cli.inputs import label_of
from pointgen.cli.options import Device, Weights
from pointgen.cli.photo_files import Photo, masks_of, photo_files, prepared
from pointgen.cli.sampling import USUAL_POINTS, solver_with
from pointgen.cli.writing import numbered, write_results
from pointgen.devices import torch_device

if TYPE_CHECKING:
    from torch import Tensor

    from pointgen.datasets.renderings.pictures import Look
    from pointgen.models import Condition, ImageConditioned, PointCloudModel
    from pointgen.models.base import CodeChoice

__all__ = ["Request", "from_photos"]

MOST_ROWS = 16  # of the picture of inputs and results
# Azimuth and elevation, degrees, of its views where clouds face the camera of their pictures.
VIEWER_SIDES = ((0.0, 0.0), (60.0, 20.0))


@dataclass(frozen=True)
class Request:
    """The options of `pointgen reconstruct`."""

    count: int
    points: int | None
    mask: Path | None
    category: str | None
    code: CodeChoice
    guidance: float
    temperature: float
    score: bool
    png: Path | None
    seed: int
    steps: int | None
    weights: Weights
    device: Device
    force: bool
    json: bool


def from_photos(run: Path, inputs: Sequence[Path], out: Path, request: Request) -> int:
    """Make clouds of pictures; return how many pictures could not be used, each told in a line.

    The clouds of a picture depend on its name, its pixels and the seed, not on other pictures.

    Raises:
        ValueError: The run takes no pictures, an option does not suit it, or no picture can be
            used.
    """
    import torch

    from pointgen.files import check_target
    from pointgen.models import ImageConditioned
    from pointgen.training.checkpoint import load

    check_target(out, force=request.force)
    check_free(request.png, force=request.force, endings=(".png",))
    if request.count > 1 and request.code != "sample":
        raise ValueError(f"--code {request.code}: there is one for a picture, not {request.count}")
    model = load(run, device=torch_device(request.device), weights=request.weights)
    if not (isinstance(model, ImageConditioned) and model.image_size is not None):
        raise ValueError(f"{run}: its model takes no pictures")
    label, look, num_points = _settings(run, request)
    files = photo_files(inputs)
    photos = prepared(files, look, masks_of(files, request.mask))
    if not photos:
        raise ValueError(f"none of {len(files)} pictures could be used")
    ids = [name for photo in photos for name in numbered(photo.id, request.count)]
    check_target(out, force=request.force, ids=ids)

    clouds: list[Tensor] = []
    scores: list[Tensor] = []
    with progress("reconstructing") as advance, torch.no_grad():
        for done, photo in enumerate(photos, start=1):
            condition = _condition(photo, label, request, model)
            generator = _generator(request.seed, photo.id)
            made = model.sample(
                request.count,
                num_points,
                generator=generator,
                temperature=request.temperature,
                solver=solver_with(request.steps),
                condition=condition,
            )
            clouds.append(made.cpu())
            if request.score:
                scores.append(_scored(model, made, condition, generator))
            advance(done, len(photos))
    unusable = len(files) - len(photos)
    more: dict[str, Any] = {"run": str(run), "pictures": len(photos), "unusable": unusable}
    nats: dict[str, float] = {}
    if request.score:
        found = zip(ids, torch.cat(scores).tolist(), strict=True)
        nats = {id: value for id, value in found if math.isfinite(value)}
        more["log_likelihood"] = nats
        more["log_likelihood_per_point"] = {id: value / num_points for id, value in nats.items()}
    if request.png is not None:
        _draw(request.png, photos, clouds, viewer=look.viewer)
    write_results(out, torch.cat(clouds), ids, force=request.force, json=request.json, more=more)
    if not request.json:
        for id, value in nats.items():
            say(f"{id}: log-likelihood {value:.1f} nats, {value / num_points:.3f} per point")
    return unusable


def _settings(run: Path, request: Request) -> tuple[int | None, Look, int]:
    """Return the label, how pictures are prepared, and how many points are made."""
    from pointgen.datasets import RenderingsConfig
    from pointgen.training.checkpoint import read_run

    experiment = read_run(run)
    model, data = experiment.model, experiment.data
    assert isinstance(data, RenderingsConfig), "a config with another would have been refused"
    label = None if request.category is None else label_of(run, request.category)
    own = model.points if model.kind == "cflow" else USUAL_POINTS
    return label, data.look, request.points or own


def _condition(
    photo: Photo, label: int | None, request: Request, model: PointCloudModel
) -> Condition:
    import torch

    from pointgen.models import Condition

    device = next(model.parameters()).device
    return Condition(
        torch.from_numpy(photo.image).unsqueeze(0).to(device),
        None if label is None else torch.tensor([label], device=device),
        request.guidance,
        request.code,
    )


def _generator(seed: int, name: str) -> Any:
    import torch

    from pointgen.training.stream import Use, mix

    return torch.Generator().manual_seed(mix(seed, Use.SAMPLE, crc32(name.encode())))


def _scored(
    model: ImageConditioned, clouds: Tensor, condition: Condition, generator: Any
) -> Tensor:
    """Return log p(cloud | picture) (n,), NaN where a cloud or its density failed."""
    import torch

    from pointgen.flows.solver import SolveError

    scores = torch.full((len(clouds),), torch.nan)
    good = clouds.isfinite().flatten(1).all(1)
    for place in good.nonzero().flatten().tolist():
        # One by one: the steps of a solver suit the hardest of a batch, and fail with it.
        one = clouds[place : place + 1]
        with suppress(SolveError):
            scores[place] = model.log_prob_given(one, condition, generator=generator).item()
    return scores


def _draw(path: Path, photos: Sequence[Photo], clouds: Sequence[Tensor], *, viewer: bool) -> None:
    from pointgen.view.side_by_side import SIDES, save_side_by_side

    rows = [
        (photo, some)
        for photo, some in zip(photos, clouds, strict=True)
        if bool(some.isfinite().all())
    ][:MOST_ROWS]
    if not rows:
        return
    save_side_by_side(
        path,
        [photo.image for photo, _ in rows],
        [list(some.numpy()) for _, some in rows],
        captions=[photo.id for photo, _ in rows],
        sides=VIEWER_SIDES if viewer else SIDES,
    )
    say(f"wrote {path}" + (f", the first {len(rows)}" if len(rows) < len(photos) else ""))
