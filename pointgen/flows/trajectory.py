"""The way of noise to data, in equal steps of flow time, to be watched."""

from __future__ import annotations

import torch
from torch import Tensor

from pointgen.flows.base import Chain, Transform
from pointgen.flows.continuous import CNF, solve_each

__all__ = ["trajectory"]


def trajectory(transform: Transform, noise: Tensor, context: Tensor | None, frames: int) -> Tensor:
    """Return where noise is on its way to data.

    What other transforms do at once, such as units, is done to all frames alike, so that the first
    shows the noise in data units, and the last is the inverse of the noise. Several CNFs follow
    one another: each has an equal part of the frames.

    Args:
        transform: a CNF, or a chain with at least one.
        noise: (B, ..., D).
        context: of the transform.
        frames: number of frames T, 2 at least.

    Returns:
        (B, T, ..., D); NaN where an entry cannot be solved.

    Raises:
        ValueError: The transform has no flow time, or there are fewer frames than that.
    """
    parts = list(transform)[::-1] if isinstance(transform, Chain) else [transform]
    places = [place for place, part in enumerate(parts) if isinstance(part, CNF)]
    if not places:
        raise ValueError("trajectory: this model has no continuous flow, so no way to watch")
    if frames <= len(places):
        raise ValueError(f"frames: expected at least {len(places) + 1}, got {frames}")
    return solve_each(
        lambda part, given: _travel(parts, places, part, given, frames - 1),
        noise,
        context,
        (frames, *noise.shape[1:]),
    )


def _travel(
    parts: list[Transform], places: list[int], noise: Tensor, context: Tensor | None, steps: int
) -> Tensor:
    """Return (B, steps + 1, ..., D); `places` are those of the CNFs in `parts`, noise first."""

    def shown(x: Tensor, after: int) -> Tensor:
        """Do what the other transforms after a place do."""
        for place, part in enumerate(parts[after:], start=after):
            if place not in places:
                x = part.inverse(x, context)
        return x

    passed = [shown(noise, 0)]
    x = noise
    for place, part in enumerate(parts):
        if isinstance(part, CNF):
            number = places.index(place)
            share = steps * (number + 1) // len(places) - steps * number // len(places)
            way = part.way(x, context, share)
            passed += [shown(each, place + 1) for each in way]
            x = way[-1]
        else:
            x = part.inverse(x, context)
    return torch.stack(passed, dim=1)
