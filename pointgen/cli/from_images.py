"""`pointgen evaluate RUN`: clouds from held-out pictures, beside what they have to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointgen.cli.console import progress
from pointgen.cli.options import Split, Weights
from pointgen.cli.rows import table

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pointgen.batch import Batch
    from pointgen.datasets import CloudDataset
    from pointgen.models import ImageConditioned, PointCloudModel
    from pointgen.models.base import CodeChoice

__all__ = ["Asked", "from_images"]

VIEWS = 8  # pictures of each training shape that retrieval chooses from
SHAPES_OF_MEAN = 512
AT_ONCE = 64  # pictures to compare


@dataclass(frozen=True)
class Asked:
    """How a run is to be scored.

    Attributes:
        split: whose pictures are shown.
        points: of each cloud; None is as many as in training.
        threshold: of the F-score, as `Threshold.parse` reads it.
        exact: whether to match points one to one for EMD.
        code: the shape code that is decoded for a picture; None is the mean where there are codes.
        guidance: of the code.
        weights: the last weights or the best.
        device: where to compute.
        seed: of all that is random.
        likelihood: whether to ask how often the right picture is the likelier one.
    """

    split: Split
    points: int | None
    threshold: str
    exact: bool
    code: CodeChoice | None
    guidance: float
    weights: Weights
    device: str
    seed: int
    likelihood: bool


def from_images(run: Path, model: PointCloudModel, asked: Asked) -> tuple[dict[str, Any], str]:
    """Score a run's clouds for held-out pictures, by category.

    Returns:
        The scores for programs, and the same as a table.
    """
    from pointgen.batch import collate
    from pointgen.datasets import RenderingsConfig
    from pointgen.metrics.by_category import by_category
    from pointgen.metrics.pairs import DEFINITIONS_OF_PAIRS, Threshold, reconstruction_scores
    from pointgen.models import ImageConditioned
    from pointgen.training.checkpoint import read_run
    from pointgen.training.making import usual_code

    near = Threshold.parse(asked.threshold)
    data = read_run(run).data
    on = next(model.parameters()).device
    assert isinstance(model, ImageConditioned) and isinstance(data, RenderingsConfig)
    if asked.code is None:
        asked = replace(asked, code=usual_code(model))
    plain: dict[str, Any] = {"augment": False, "num_points": asked.points or data.num_points}
    if data.background == "random":
        plain["background"] = (1.0, 1.0, 1.0)
    data = data.model_copy(update=plain)
    held_out, training = data.build(asked.split), data.build("train")
    batch = collate([held_out[index] for index in range(len(held_out))])
    assert batch.target is not None and batch.image is not None and batch.label is not None

    rows = {"model": _answers(model, batch.image, data.num_points, asked)}
    rows |= _baselines(model, batch.image, training, data.num_points, on, asked.seed)
    rows["same surface"] = batch.points
    scores = {}
    with progress("scoring") as advance:
        for done, (name, clouds) in enumerate(rows.items(), start=1):
            scores[name] = reconstruction_scores(
                clouds, batch.target, threshold=near, emd_error=0.0 if asked.exact else None
            )
            advance(done, len(rows))
    means = {
        name: by_category(found, batch.label, held_out.categories) for name, found in scores.items()
    }
    first = next(iter(scores.values()))
    preferred = _preferred(model, batch.to(on), asked.seed) if asked.likelihood else None
    result = {
        "run": str(run), "split": asked.split, "shapes": len(held_out), "points": data.num_points,
        "code": asked.code, "guidance": asked.guidance, "seed": asked.seed,
        "threshold": near.description, "scores": means,
        "definitions": {name: DEFINITIONS_OF_PAIRS[name] for name in first} | ROWS,
    }  # fmt: skip
    if preferred is not None:
        result["right_picture_likelier"] = preferred
    return result, _table(result)


ROWS = {
    "model": "this run's cloud for the picture",
    "retrieval (pixels)": f"the cloud of the training picture, {VIEWS} of each shape, that looks "
    "most alike in grey",
    "retrieval (features)": "the same by what this run's own network sees in pictures",
    "mean cloud": "one cloud for all pictures, the nearest to the training clouds by Chamfer",
    "same surface": "another draw of the true surface: what cannot be beaten but by luck",
}


def _answers(model: PointCloudModel, images: Tensor, num_points: int, asked: Asked) -> Tensor:
    """Return one cloud for each picture, on the CPU."""
    import torch

    from pointgen.training.making import from_pictures

    assert asked.code is not None
    with progress("generating") as advance:
        return from_pictures(
            model,
            images,
            num_points,
            code=asked.code,
            guidance=asked.guidance,
            generator=torch.Generator().manual_seed(asked.seed),
            advance=advance,
        )


def _baselines(
    model: PointCloudModel,
    images: Tensor,
    training: CloudDataset,
    num_points: int,
    device: torch.device,
    seed: int,
) -> dict[str, Tensor]:
    import numpy as np
    import torch

    from pointgen.metrics.baselines import mean_cloud, nearest_pictures, pixels
    from pointgen.models import SeesImages

    looks: dict[str, Callable[[Tensor], Tensor]] = {"retrieval (pixels)": pixels}
    if isinstance(model, SeesImages):
        see = model.see
        looks["retrieval (features)"] = lambda pictures: see(pictures.to(device)).cpu()
    known: dict[str, list[Tensor]] = {name: [] for name in looks}

    def drawn(place: int) -> Any:
        """The same item for the same place: only what is retrieved is kept."""
        return training.draw(place // VIEWS, np.random.default_rng((seed, place)))

    places = range(VIEWS * len(training))
    with progress("reading training pictures") as advance, torch.no_grad():
        for start in range(0, len(places), AT_ONCE):
            pictures = torch.stack([drawn(p).image for p in places[start : start + AT_ONCE]])
            for name, look in looks.items():
                known[name].append(look(pictures))
            advance(min(start + AT_ONCE, len(places)), len(places))
        rows = {}
        for name, look in looks.items():
            asked = torch.cat([look(part) for part in images.split(AT_ONCE)])
            nearest = nearest_pictures(asked, torch.cat(known[name])).tolist()
            rows[name] = torch.stack([drawn(place).target for place in nearest])
    generator = torch.Generator().manual_seed(seed)
    some = torch.randperm(len(training), generator=generator)[:SHAPES_OF_MEAN].tolist()
    mean = mean_cloud(training.points_of(some), num_points, generator=generator)
    rows["mean cloud"] = mean.expand(len(images), -1, -1)
    return rows


def _preferred(model: ImageConditioned, batch: Batch, seed: int) -> float:
    """Return the share of clouds that are likelier given their picture than given another's."""
    import torch

    from pointgen.models import Condition

    assert batch.target is not None and batch.image is not None
    if len(batch) < 2:
        raise ValueError("--likelihood: expected at least two held-out shapes to compare")
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(seed))
    other = torch.empty_like(order)
    other[order] = order.roll(1)  # one cycle: nobody gets their own
    wins = 0
    with progress("likelihoods") as advance:
        for place in range(len(batch)):
            right, wrong = (
                model.log_prob_given(
                    batch.target[place : place + 1],
                    Condition(batch.image[picture : picture + 1]),
                    generator=torch.Generator().manual_seed(seed),  # the same noise for both
                )
                for picture in (place, int(other[place]))
            )
            wins += bool(right > wrong)
            advance(place + 1, len(batch))
    return wins / len(batch)


def _table(result: dict[str, Any]) -> str:
    heading = (
        f"{result['run']}: clouds from {result['shapes']} pictures of the {result['split']} split, "
        f"{result['points']} points, code: {result['code']}"
    )
    lines = table(heading, result)
    if "right_picture_likelier" in result:
        share = 100 * result["right_picture_likelier"]
        said = f"log p(cloud | picture) prefers the right one of two pictures: {share:.1f} %"
        lines += ["", said]
    return "\n".join(lines)
