"""Pictures into clouds: the part of `pointgen reconstruct` that is for photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

from pointgen.cli.console import check_free, progress, say
from pointgen.cli.inputs import label_of, torch_device
from pointgen.cli.sampling import solver_with
from pointgen.cli.writing import write_results

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pointgen.datasets.renderings.pictures import Look
    from pointgen.models import Condition, ImageConditioned, PointCloudModel
    from pointgen.models.base import CodeChoice

__all__ = ["Request", "are_photos", "from_photos", "photos_of"]

POINTS = 2048  # of a cloud where nothing else is asked for: the field's usual number
MOST_ROWS = 16  # of the picture of inputs and results


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
    weights: Literal["model", "best"]
    device: Literal["auto", "cpu", "cuda"]
    force: bool
    json: bool


@dataclass(frozen=True)
class Photo:
    """A picture as the network sees it, (3, S, S) in [0, 1], with its name."""

    id: str
    image: np.ndarray


def are_photos(inputs: Sequence[Path]) -> bool:
    """Whether inputs are pictures, rather than clouds or meshes.

    Raises:
        ValueError: There is nothing, or both.
    """
    from pointgen.images import is_image

    kinds = []
    for path in inputs:
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder")
        kinds.append(is_image(path) if path.is_file() else bool(_inside(path)))
    if any(kinds) and not all(kinds):
        pair = f"{inputs[kinds.index(True)]} and {inputs[kinds.index(False)]}"
        raise ValueError(f"{pair}: expected either pictures or clouds")
    return all(kinds)


def photos_of(inputs: Sequence[Path]) -> list[tuple[str, Path]]:
    """Return the names and paths of all pictures; of a folder, the names are paths below it."""
    found = []
    for path in inputs:
        inside = _inside(path) if path.is_dir() else [path]
        root = path if path.is_dir() else path.parent
        found += [(file.relative_to(root).with_suffix("").as_posix(), file) for file in inside]
    names = [name for name, _ in found]
    if len(set(names)) < len(names):  # a.png and a.jpg, or the same name in two folders
        return [(f"{number}/{name}", path) for number, (name, path) in enumerate(found)]
    return found


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
    check_free(request.png, force=request.force)
    if request.count > 1 and request.code != "sample":
        raise ValueError(f"--code {request.code}: there is one for a picture, not {request.count}")
    model = load(run, device=torch_device(request.device), weights=request.weights)
    if not (isinstance(model, ImageConditioned) and model.image_size is not None):
        raise ValueError(f"{run}: its model takes no pictures")
    label, look, num_points = _settings(run, request)
    found = photos_of(inputs)
    photos = _prepared(found, look, _masks(found, request.mask))
    if not photos:
        raise ValueError(f"none of {len(found)} pictures could be used")

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
    ids = [name for photo in photos for name in _names(photo.id, request.count)]
    unusable = len(found) - len(photos)
    more: dict[str, Any] = {"run": str(run), "pictures": len(photos), "unusable": unusable}
    nats = dict(zip(ids, torch.cat(scores).tolist(), strict=True)) if request.score else {}
    if nats:
        more["log_likelihood"] = nats
        more["log_likelihood_per_point"] = {id: value / num_points for id, value in nats.items()}
    if request.png is not None:
        _draw(request.png, photos, clouds)
    write_results(out, torch.cat(clouds), ids, force=request.force, json=request.json, more=more)
    if not request.json:
        for id, value in nats.items():
            say(f"{id}: log-likelihood {value:.1f} nats, {value / num_points:.3f} per point")
    return unusable


def _inside(folder: Path) -> list[Path]:
    from pointgen.images import is_image

    return [
        path
        for path in sorted(folder.rglob("*"))
        if is_image(path)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _settings(run: Path, request: Request) -> tuple[int | None, Look, int]:
    """Return the label, how pictures are prepared, and how many points are made."""
    from pointgen.datasets import RenderingsConfig
    from pointgen.training.checkpoint import read_run

    experiment = read_run(run)
    model, data = experiment.model, experiment.data
    assert isinstance(data, RenderingsConfig), "a config with another would have been refused"
    label = None if request.category is None else label_of(run, request.category)
    own = model.points if model.kind == "cflow" else POINTS
    return label, data.look, request.points or own


def _masks(found: list[tuple[str, Path]], mask: Path | None) -> dict[str, Path]:
    """Return the mask of each picture that has one."""
    from pointgen.images import is_image

    if mask is None:
        return {}
    if mask.is_dir():
        masks = {path.relative_to(mask).with_suffix("").as_posix(): path for path in _inside(mask)}
        chosen = {name: masks[name] for name, _ in found if name in masks}
        if not chosen:
            raise ValueError(f"--mask {mask}: expected masks with the names of the pictures")
        return chosen
    if len(found) > 1:
        raise ValueError(f"--mask {mask}: expected a folder of masks for {len(found)} pictures")
    if not is_image(mask):
        raise ValueError(f"--mask {mask}: expected a picture or a folder of them")
    return {found[0][0]: mask}


def _prepared(found: list[tuple[str, Path]], look: Look, masks: dict[str, Path]) -> list[Photo]:
    """Read the pictures as training did; say which cannot be used, and which have no background."""
    from pointgen.images import background_found, framed, read_image

    photos, whole = [], []
    background = look.background or (1.0, 1.0, 1.0)
    for name, path in found:
        try:
            rgba = read_image(path, masks.get(name))
            photos.append(
                Photo(name, framed(rgba, look.size, crop=look.crop, background=background))
            )
        except ValueError as error:
            say(f"error: {error}")
            continue
        if not background_found(rgba):
            whole.append(str(path))
    if whole:
        others = f" (and {len(whole) - 1} more)" if len(whole) > 1 else ""
        say(
            f"warning: {whole[0]}{others}: no background was found, so the whole picture is used; "
            "--mask says where the object is"
        )
    return photos


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
    """Return log p(cloud | picture) (n,), NaN for clouds that failed."""
    import torch

    scores = torch.full((len(clouds),), torch.nan)
    good = clouds.isfinite().flatten(1).all(1)
    if good.any():
        known = model.log_prob_given(clouds[good], condition, generator=generator)
        scores[good.cpu()] = known.to(scores)
    return scores


def _names(id: str, count: int) -> list[str]:
    return [id] if count == 1 else [f"{id}_{number}" for number in range(count)]


def _draw(path: Path, photos: Sequence[Photo], clouds: Sequence[Tensor]) -> None:
    from pointgen.view.side_by_side import save_side_by_side

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
    )
    say(f"wrote {path}" + (f", the first {len(rows)}" if len(rows) < len(photos) else ""))
