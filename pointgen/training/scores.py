"""How good a run is, on so few shapes that it takes a minute: for the report of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from pointgen.batch import collate
from pointgen.datasets import CloudDataset
from pointgen.metrics.by_category import by_category
from pointgen.metrics.evaluate import Scoring, evaluate
from pointgen.metrics.pairs import DEFINITIONS_OF_PAIRS, Threshold, reconstruction_scores
from pointgen.metrics.sheet import Sheet
from pointgen.models import Autoencoder, Classifier, PointCloudModel, Restorer
from pointgen.training.look import evenly
from pointgen.training.making import (
    Advance,
    answers_pictures,
    classified,
    fresh,
    from_pictures,
    most_points,
    reconstructed,
    restored,
    usual_code,
)

__all__ = ["ROWS", "Measure", "Pairs", "accuracy", "has_pairs", "score_pairs", "score_set"]

ONE_PERCENT = Threshold.parse("1%")
MOST_POINTS = 2048  # of a cloud: with twice as many it would take twice the time
ROWS = {
    "reconstruction": "this run's cloud for the code of the held-out one",
    "from the picture": "this run's cloud for the held-out picture",
    "complete": "this run's cloud for the held-out one without a side",
    "denoise": "this run's cloud for the held-out one with noise",
    "upsample": "this run's cloud for a few points of the held-out one",
    "to complete": "the held-out cloud without that side, as it was given",
    "to denoise": "the held-out cloud with that noise, as it was given",
    "to upsample": "those few points, as they were given",
    "another shape": "the true cloud of another held-out shape: what a guess gets",
    "same surface": "another draw of the true surface: what cannot be beaten but by luck",
}


@dataclass(frozen=True)
class Measure:
    """How clouds are compared with their truth.

    Attributes:
        points: of a cloud, at most.
        seen: points of a held-out cloud that the model is shown; None: all.
        threshold: of the F-score.
        emd_error: largest relative error of EMD; None leaves it out, as it is slow. So do clouds
            of unequal numbers of points, such as damaged ones.
    """

    points: int = MOST_POINTS
    seen: int | None = None
    threshold: Threshold = ONE_PERCENT
    emd_error: float | None = None


@dataclass(frozen=True)
class Pairs:
    """Scores of clouds against their own truth.

    Attributes:
        shapes: how many were compared.
        failed: how many more the model could not solve.
        threshold: of the F-score, in words.
        scores: mean by row, category and name; see `by_category`.
    """

    shapes: int
    failed: int
    threshold: str
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]

    @property
    def definitions(self) -> dict[str, str]:
        """What the names mean."""
        scores = next(iter(self.scores.values()))["mean"]
        return {row: ROWS[row] for row in self.scores} | {
            name: DEFINITIONS_OF_PAIRS[name] for name in scores
        }

    def to_json(self) -> dict[str, Any]:
        """Return numbers, texts, lists and dictionaries."""
        return {
            "shapes": self.shapes,
            "failed": self.failed,
            "threshold": self.threshold,
            "scores": self.scores,
            "definitions": self.definitions,
        }


def score_set(
    model: PointCloudModel,
    held_out: CloudDataset,
    training: CloudDataset,
    count: int,
    *,
    seed: int,
    advance: Advance | None = None,
) -> Sheet:
    """Score new clouds against at most `count` held-out ones, and training shapes beside them.

    Raises:
        ValueError: A set is empty, or no sample could be solved.
    """
    device = next(model.parameters()).device
    real = held_out.points_of(evenly(held_out, count))
    points = min(most_points(model, real.shape[1]), MOST_POINTS)
    generator = Generator().manual_seed(seed)
    made = fresh(model, len(real), points, generator=generator, advance=advance)
    return evaluate(
        made.to(device),
        real.to(device),
        oracle=training.points_of(evenly(training, len(real))).to(device),
        scoring=Scoring(points=points, seed=seed),
        progress=advance,
    )


def accuracy(model: PointCloudModel, held_out: CloudDataset, count: int) -> dict[str, float]:
    """Return for what share of at most `count` held-out shapes the right category is the likeliest.

    By category, and the mean of those. The model is a classifier.
    """
    assert isinstance(model, Classifier)
    batch = collate([held_out[place] for place in evenly(held_out, count)])
    assert batch.label is not None
    shares = classified(model, batch.points.to(next(model.parameters()).device))
    told = batch.label < len(model.categories)  # the others are no category of the model's
    right = (shares.argmax(dim=-1) == batch.label)[told]
    found = by_category({"accuracy": right.double()}, batch.label[told], held_out.categories)
    return {name: of["accuracy"] for name, of in found.items()}


def has_pairs(model: PointCloudModel) -> bool:
    """Whether the model makes clouds that have a truth of their own."""
    return isinstance(model, Autoencoder | Restorer) or answers_pictures(model)


def score_pairs(
    model: PointCloudModel,
    held_out: CloudDataset,
    count: int,
    *,
    seed: int,
    measure: Measure = Measure(),
    advance: Advance | None = None,
) -> Pairs:
    """Score what the model makes of at most `count` held-out shapes.

    Raises:
        ValueError: None could be solved.
    """
    device = next(model.parameters()).device
    batch = collate([held_out[place] for place in evenly(held_out, count)])
    assert batch.target is not None and batch.label is not None
    points = min(batch.target.shape[1], measure.points)
    seen = batch.points[:, : measure.seen].to(device)
    rows: dict[str, Tensor] = {}
    if isinstance(model, Autoencoder):
        rows["reconstruction"] = reconstructed(
            model, seen, points, generator=Generator().manual_seed(seed)
        )
    if answers_pictures(model) and batch.image is not None:
        rows["from the picture"] = from_pictures(
            model,
            batch.image,
            most_points(model, points),
            code=usual_code(model),
            generator=Generator().manual_seed(seed),
            advance=advance,
        )
    if isinstance(model, Restorer):
        noise = Generator().manual_seed(seed)
        for task in model.tasks:
            given = model.damaged(seen, task, generator=noise)
            rows[f"to {task}"] = given.cpu()
            rows[task] = restored(model, given, task, points, generator=noise)
    solved = torch.stack([clouds.isfinite().flatten(1).all(1) for clouds in rows.values()]).all(0)
    if not bool(solved.any()):
        raise ValueError(f"none of {len(solved)} clouds could be solved")
    rows |= {"another shape": batch.target.roll(1, 0)} if len(batch) > 1 else {}
    rows["same surface"] = batch.points
    # The points of a scan may be in an order, of which the first ones are only one end.
    thin = torch.randperm(batch.target.shape[1], generator=Generator().manual_seed(seed))[:points]
    truth = batch.target[solved][:, thin]
    compared = {
        name: clouds[solved] if clouds.shape[1] <= points else clouds[solved][:, thin]
        for name, clouds in rows.items()
    }
    alike = all(clouds.shape == truth.shape for clouds in compared.values())
    scores = {}
    for done, (name, clouds) in enumerate(compared.items(), start=1):
        found = reconstruction_scores(
            clouds,
            truth,
            threshold=measure.threshold,
            emd_error=measure.emd_error if alike else None,
        )
        scores[name] = by_category(found, batch.label[solved], held_out.categories)
        if advance is not None:
            advance(done, len(compared))
    said = measure.threshold.description
    return Pairs(int(solved.sum()), int((~solved).sum()), said, scores)
