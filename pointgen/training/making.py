"""What a model makes, in pieces that fit its memory: new clouds, reconstructions, answers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from pointgen.models import (
    Autoencoder,
    Classifier,
    Condition,
    ImageConditioned,
    PointCloudModel,
    Restorer,
    SeesImages,
    Task,
)
from pointgen.models.around import pointflow_of
from pointgen.models.base import CodeChoice, NotGenerative
from pointgen.models.cflow import CFlow
from pointgen.models.irevnet import IRevNetClassifier

__all__ = [
    "Advance",
    "answers_pictures",
    "classified",
    "fresh",
    "from_pictures",
    "generates",
    "most_points",
    "reconstructed",
    "restored",
    "usual_code",
]

AT_ONCE = 16  # clouds

Advance = Callable[[int, int], None]
"""Called with how many are done, of how many."""


def generates(model: PointCloudModel) -> bool:
    """Whether the model can make new shapes: an autoencoder without a prior cannot."""
    if (flow := pointflow_of(model)) is not None:
        return flow.prior is not None
    return not isinstance(model, NotGenerative)


def answers_pictures(model: PointCloudModel) -> bool:
    """Whether the model turns pictures into clouds."""
    return isinstance(model, ImageConditioned) and model.image_size is not None


def usual_code(model: PointCloudModel) -> CodeChoice:
    """Return the shape code to decode for a picture: the mean, if the model has codes."""
    return "mean" if isinstance(model, SeesImages) else "sample"


def most_points(model: PointCloudModel | Autoencoder, wanted: int) -> int:
    """Return `wanted`, or how many points the model's clouds have if that is less, or fixed."""
    if isinstance(model, IRevNetClassifier):
        return model.config.points
    return min(wanted, model.config.points) if isinstance(model, CFlow) else wanted


def fresh(
    model: PointCloudModel,
    count: int,
    num_points: int,
    *,
    generator: Generator,
    advance: Advance | None = None,
) -> Tensor:
    """Draw new clouds (count, num_points, 3) on the CPU, data units; failed ones are NaN."""
    clouds = []
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        clouds.append(model.sample(size, num_points, generator=generator).cpu())
        if advance is not None:
            advance(start + size, count)
    return torch.cat(clouds)


def from_pictures(
    model: PointCloudModel,
    images: Tensor,
    num_points: int,
    *,
    code: CodeChoice,
    guidance: float = 1.0,
    generator: Generator,
    advance: Advance | None = None,
) -> Tensor:
    """Draw one cloud (num_points, 3), data units, on the CPU for each picture (B, 3, H, W)."""
    device = next(model.parameters()).device
    clouds: list[Tensor] = []
    for part in images.split(AT_ONCE):
        condition = Condition(part.to(device), guidance=guidance, code=code)
        clouds.append(
            model.sample(len(part), num_points, generator=generator, condition=condition).cpu()
        )
        if advance is not None:
            advance(sum(map(len, clouds)), len(images))
    return torch.cat(clouds)


@torch.no_grad()
def classified(model: Classifier, points: Tensor) -> Tensor:
    """Return probabilities (B, K), on the CPU, for clouds (B, N, 3) on the model's device."""
    return torch.cat([model.classify(part).cpu() for part in points.split(AT_ONCE)])


@torch.no_grad()
def reconstructed(
    model: Autoencoder, points: Tensor, num_points: int, *, generator: Generator
) -> Tensor:
    """Encode clouds (B, N, 3) on the model's device; decode them to (B, num_points, 3), on the CPU.

    All in data units, and of another number of points where that of the model's clouds is fixed.
    """
    num_points = most_points(model, num_points)
    clouds = [
        model.decode(model.encode(part), num_points, generator=generator).cpu()
        for part in points.split(AT_ONCE)
    ]
    return torch.cat(clouds)


def restored(
    model: Restorer, points: Tensor, task: Task, num_points: int, *, generator: Generator
) -> Tensor:
    """Restore damaged clouds (B, M, 3) on the model's device to (B, num_points, 3), on the CPU."""
    clouds = [
        model.restore(part, task, num_points, generator=generator)[:, -1].cpu()
        for part in points.split(AT_ONCE)
    ]
    return torch.cat(clouds)
