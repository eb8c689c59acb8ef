"""Pictures of what a model makes, now and while it trains: new shapes, and of held-out ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from pointgen.batch import Batch, collate
from pointgen.config import TrainConfig
from pointgen.flows.solver import SolveError
from pointgen.models import Autoencoder, PointCloudModel, Restorer
from pointgen.models.cflow import CFlow
from pointgen.training.making import (
    answers_pictures,
    fresh,
    from_pictures,
    generates,
    most_points,
    reconstructed,
    restored,
    usual_code,
)
from pointgen.training.stream import Use, mix
from pointgen.training.validation import Fixed, looking_at

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Look", "Seen", "evenly", "look", "one_line", "preview"]

COLUMNS, SIZE = 4, 240  # shapes in a row of a preview, and the pixels of each
VIEWED = 192  # pixels of a picture and of each view of its clouds, so that rows are as wide


@dataclass(frozen=True)
class Seen:
    """One kind of what a model makes.

    Attributes:
        meaning: what the picture shows, in one line.
        picture: of it.
        clouds: (S, N, 3), data units, those that the model made; on the CPU and finite.
        failed: how many more could not be solved.
    """

    meaning: str
    picture: Image
    clouds: Tensor
    failed: int = 0


@dataclass(frozen=True)
class Look:
    """All that a model makes.

    Attributes:
        parts: by title.
        problems: by title, why a part is missing.
    """

    parts: Mapping[str, Seen]
    problems: Mapping[str, str]


def preview(
    model: PointCloudModel,
    held_out: Fixed | None,
    path: Path,
    config: TrainConfig,
    show: Callable[[Mapping[str, Seen]], None],
) -> str:
    """Save a picture of what the model makes, of the same noise and held-out shapes each time.

    Args:
        model: what is looked at; it is left as it was.
        held_out: shapes to reconstruct, and pictures to answer.
        path: the PNG to write.
        config: how many shapes, and of how many points.
        show: is given what the picture shows.

    Returns:
        What went wrong, in one line; nothing if all went well.
    """
    from pointgen.files import atomic
    from pointgen.view.stack import stack

    try:
        seen = look(model, held_out, config)
        if seen.parts:
            whole = stack({part.meaning: part.picture for part in seen.parts.values()})
            with atomic(path) as temporary:
                whole.save(temporary, format="PNG")
            show(seen.parts)
    except Exception as error:  # a picture must not cost a training that went on for days
        return f"no preview {path.name}: {one_line(error)}"
    if not seen.parts:
        return f"no preview {path.name}: {'; '.join(seen.problems.values())}"
    said = [f"no {title}: {problem}" for title, problem in seen.problems.items()]
    said += [
        f"{title}: {part.failed} of {part.failed + len(part.clouds)} could not be solved"
        for title, part in seen.parts.items()
        if part.failed
    ]
    return f"preview {path.name}: {'; '.join(said)}" if said else ""


def look(model: PointCloudModel, held_out: Fixed | None, config: TrainConfig) -> Look:
    """Return new shapes, and what the model makes of held-out ones where it can.

    What is random is decided by the config's seed. An error costs the part that it happens in.
    """
    ways: dict[str, Callable[[], Seen]] = {}
    if generates(model):
        ways["new shapes"] = partial(_new, model, config)
    if held_out is not None and len(held_out):
        device = next(model.parameters()).device
        if isinstance(model, Autoencoder):
            ways["reconstructions"] = partial(_reconstructions, model, held_out, config, device)
        if isinstance(model, Restorer):
            ways["restored clouds"] = partial(_restored, model, held_out, config, device)
        if answers_pictures(model):
            ways["clouds from pictures"] = partial(_answers, model, held_out, config)
        if isinstance(model, CFlow) and not model.makes_clouds:
            ways["pictures of clouds"] = partial(_drawings, model, held_out, config, device)
    parts: dict[str, Seen] = {}
    problems: dict[str, str] = {}
    for title, way in ways.items():
        try:
            with looking_at(model):
                parts[title] = way()
        except Exception as error:  # whatever a model, a data set or a picture may raise
            problems[title] = one_line(error)
    return Look(parts, problems)


def evenly(dataset: Sized, count: int) -> list[int]:
    """Return the places of so many shapes, or of all: the first ones may be of one category."""
    count = min(count, len(dataset))
    return [len(dataset) * number // count for number in range(count)]


def _new(model: PointCloudModel, config: TrainConfig) -> Seen:
    from pointgen.view.still import draw

    points = most_points(model, config.preview_points)
    clouds = fresh(model, config.preview_count, points, generator=_noise(config))
    solved = _solved(clouds)
    picture = draw(clouds[solved], columns=_columns(len(solved)), size=SIZE)
    return Seen("New shapes", picture, clouds[solved], len(clouds) - len(solved))


def _reconstructions(
    model: Autoencoder, held_out: Fixed, config: TrainConfig, device: torch.device
) -> Seen:
    """Draw held-out clouds in a row, and below each what comes back of it."""
    from pointgen.view.still import draw

    batch = _some(held_out, COLUMNS).to(device)
    made = reconstructed(model, batch.points, config.preview_points, generator=_noise(config))
    solved = _solved(made)
    truth = batch.points.cpu()[solved]
    captions = [batch.id[place] for place in solved] + ["reconstructed"] * len(solved)
    picture = draw([*truth, *made[solved]], captions=captions, columns=len(solved), size=SIZE)
    meaning = "Held-out shapes, and below each what came back of its code"
    return Seen(meaning, picture, made[solved], len(made) - len(solved))


def _restored(model: Restorer, held_out: Fixed, config: TrainConfig, device: torch.device) -> Seen:
    """Draw held-out clouds in a row, and above it each damaged in every way, and restored."""
    from pointgen.view.still import draw

    batch, noise = _some(held_out, COLUMNS), _noise(config)
    points = batch.points.to(device)
    clouds: list[Tensor] = []
    captions: list[str] = []
    for task in model.tasks:
        damaged = model.damaged(points, task, generator=noise)
        made = restored(model, damaged, task, points.shape[1], generator=noise)
        clouds += [*damaged.cpu(), *made]
        captions += [f"to {task}"] * len(batch) + ["restored"] * len(batch)
    ends = [c for c, name in zip(clouds, captions, strict=True) if name == "restored"]
    picture = draw(
        [*clouds, *batch.points], captions=[*captions, *batch.id], columns=len(batch), size=SIZE
    )
    meaning = "Held-out shapes at the bottom, and above them damaged and restored in every way"
    return Seen(meaning, picture, torch.stack(ends))


def _answers(model: PointCloudModel, held_out: Fixed, config: TrainConfig) -> Seen:
    """Draw held-out pictures, each with the cloud that the model makes of it and the true one."""
    from pointgen.view.side_by_side import side_by_side

    batch = _some(held_out, COLUMNS)
    assert batch.image is not None
    made = from_pictures(
        model,
        batch.image,
        most_points(model, config.preview_points),
        code=usual_code(model),
        generator=_noise(config),
    )
    solved = _solved(made)
    picture = side_by_side(
        [batch.image[place].numpy() for place in solved],
        [[made[place].numpy(), batch.points[place].numpy()] for place in solved],
        captions=[batch.id[place] for place in solved],
        size=VIEWED,
    )
    meaning = "Held-out pictures, the cloud made of each from two sides, and the true one"
    return Seen(meaning, picture, made[solved], len(made) - len(solved))


def _drawings(model: CFlow, held_out: Fixed, config: TrainConfig, device: torch.device) -> Seen:
    """Draw held-out clouds, each with the picture that the model makes of it and the true one."""
    from pointgen.view.side_by_side import side_by_side

    batch = _some(held_out, COLUMNS)
    assert batch.image is not None
    made = model.sample_images(len(batch), batch.points.to(device), generator=_noise(config))
    pairs = zip(made.cpu().numpy(), batch.image.numpy(), strict=True)
    picture = side_by_side(
        [picture for pair in pairs for picture in pair],
        [[cloud] for cloud in batch.points.numpy() for _ in range(2)],
        captions=[f"{id}: {what}" for id in batch.id for what in ("made of the cloud", "truth")],
        size=VIEWED,
    )
    meaning = "Held-out clouds from two sides, the picture made of each, and the true one below"
    return Seen(meaning, picture, batch.points[:0])


def one_line(error: Exception) -> str:
    """Return what an error says, or its kind if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def _some(held_out: Fixed, count: int) -> Batch:
    return collate([held_out[place] for place in evenly(held_out, count)])


def _noise(config: TrainConfig) -> Generator:
    """Return the same noise each time; from the CPU, so that it is the same on every device."""
    return Generator().manual_seed(mix(config.seed, Use.PREVIEW))


def _solved(clouds: Tensor) -> list[int]:
    """Return the places of the clouds (S, N, 3) that are finite.

    Raises:
        SolveError: None is.
    """
    places = clouds.isfinite().flatten(1).all(1).nonzero().flatten().tolist()
    if not places:
        raise SolveError(f"none of {len(clouds)} could be solved")
    return places


def _columns(count: int) -> int:
    return min(count, max(COLUMNS, math.isqrt(count - 1) + 1))
