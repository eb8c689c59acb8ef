"""Shape codes as vectors of numbers: Gaussian draws of them, and the way from one to another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["draw_code", "gaussian_entropy", "great_circle"]


def draw_code(mean: Tensor, log_var: Tensor | None) -> Tensor:
    """Draw codes (B, C) of a diagonal Gaussian; the mean itself if there is no variance."""
    return mean if log_var is None else mean + (0.5 * log_var).exp() * torch.randn_like(mean)


def gaussian_entropy(log_var: Tensor) -> Tensor:
    """Return the entropy (B,) of diagonal Gaussians of log-variance (B, C), nats."""
    return 0.5 * (log_var + 1 + math.log(2 * math.pi)).sum(-1)


def great_circle(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Interpolate directions on the great circle and lengths in proportion. (1, C), (S, 1)."""
    cosine = torch.cosine_similarity(first, second).clamp(-1, 1)
    angle = cosine.arccos()
    if angle.sin() < 1e-4:  # the same or opposite directions: no one circle joins them
        return torch.lerp(first, second, share)
    start, stop = first / first.norm(), second / second.norm()
    direction = ((1 - share) * angle).sin() * start + (share * angle).sin() * stop
    return direction / angle.sin() * torch.lerp(first.norm(), second.norm(), share)
