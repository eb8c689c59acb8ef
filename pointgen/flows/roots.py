"""The one root of x + c tanh(s x + k) = t, which inverts planar and Sylvester flows."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["solve_tanh"]


def solve_tanh(c: Tensor, s: Tensor, k: Tensor, t: Tensor) -> Tensor:
    """Return x with x + c tanh(s x + k) = t elementwise, differentiable in all four.

    The left side must rise: c s > -1. As |tanh| < 1, the root lies within |c| of t; it is bisected
    to the last bit, and one step of Newton's method with gradients makes it differentiable: the
    step is zero but for its derivative, which is that of the implicit function.
    """
    with torch.no_grad():
        c, s, k, t = torch.broadcast_tensors(c, s, k, t)
        low, high = t - c.abs(), t + c.abs()
        for _ in range(_bits(t.dtype)):
            middle = 0.5 * (low + high)
            above = middle + c * torch.tanh(s * middle + k) > t
            high = torch.where(above, middle, high)
            low = torch.where(above, low, middle)
        root = 0.5 * (low + high)
    bend = torch.tanh(s * root + k)
    return root - (root + c * bend - t) / (1 + c * s * (1 - bend.square()))


def _bits(dtype: torch.dtype) -> int:
    """Return how many halvings leave no more than rounding, of roots no larger than t."""
    return 60 if dtype == torch.float64 else 32
