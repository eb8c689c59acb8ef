"""The way from one shape code to another."""

from __future__ import annotations

import torch
from torch import Tensor

from pointgen.flows.base import Transform

__all__ = ["between", "great_circle"]


def between(
    first: Tensor,
    second: Tensor,
    count: int,
    transform: Transform | None = None,
    context: Tensor | None = None,
) -> Tensor:
    """Return codes (count, C) on the way from one code (C,) to another, ends included.

    With the transform of a prior, and the context (1, W) that it may be given, the way is the great
    circle in its noise space, whose points are as typical as its ends; without, a straight line.
    """
    ends = torch.stack([first, second])
    share = torch.linspace(0, 1, count, dtype=ends.dtype, device=ends.device).unsqueeze(1)
    if transform is None:
        return torch.lerp(ends[:1], ends[1:], share)
    first_noise, second_noise = transform.to_noise(ends, context).split(1)
    return transform.inverse(great_circle(first_noise, second_noise, share), context)


def great_circle(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Interpolate directions on the great circle and lengths in proportion. (1, C), (S, 1)."""
    cosine = torch.cosine_similarity(first, second).clamp(-1, 1)
    angle = cosine.arccos()
    if angle.sin() < 1e-4:  # the same or opposite directions: no one circle joins them
        return torch.lerp(first, second, share)
    start, stop = first / first.norm(), second / second.norm()
    direction = ((1 - share) * angle).sin() * start + (share * angle).sin() * stop
    return direction / angle.sin() * torch.lerp(first.norm(), second.norm(), share)
