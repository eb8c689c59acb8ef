"""The exponential moving average of a model's weights, which generalises better than the last."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from pointgen.models import PointCloudModel

__all__ = ["Average"]


class Average:
    """A second copy of a model, whose weights follow those of the model slowly.

    Floating-point buffers (statistics of batch norms) are averaged like the weights, so that they
    fit the averaged weights; other buffers are copied.
    """

    def __init__(self, model: PointCloudModel, decay: float) -> None:
        """Start at the model's present weights.

        Args:
            model: the model that is trained.
            decay: share of the average that a step keeps, in [0, 1).
        """
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay
        # Parameters never change their place in memory; a buffer may be replaced, so look it up.
        self._averaged: list[Tensor] = list(self.model.parameters())
        self._trained: list[Tensor] = list(model.parameters())
        self._buffers = [
            (mine._buffers, theirs._buffers, name)
            for mine, theirs in zip(self.model.modules(), model.modules(), strict=True)
            for name in mine._buffers
        ]

    def decay(self, step: int) -> float:
        """Return the decay of step `step`: smaller at first, so that the start is forgotten.

        Source: min(decay, (1 + step) / (10 + step)) as in TensorFlow's ExponentialMovingAverage.
        """
        return min(self._decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the model's weights after step `step`."""
        weight = 1 - self.decay(step)
        torch._foreach_lerp_(self._averaged, self._trained, weight)
        for mine, theirs, name in self._buffers:
            _follow(mine[name], theirs[name], weight)


def _follow(average: Tensor | None, value: Tensor | None, weight: float) -> None:
    if average is None or value is None:
        return
    if average.is_floating_point():
        average.lerp_(value, weight)
    else:
        average.copy_(value)
