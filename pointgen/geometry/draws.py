"""Random numbers for tensors on any device, the same from the same generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

__all__ = ["standard_noise", "uniform_noise"]


def standard_noise(
    shape: Sequence[int], like: Tensor, generator: Generator | None = None
) -> Tensor:
    """Draw N(0, I) of a shape, of the type and on the device of `like`.

    The numbers come from the generator's own device.
    """
    return _drawn(torch.randn, shape, like, generator)


def uniform_noise(shape: Sequence[int], like: Tensor, generator: Generator | None = None) -> Tensor:
    """Draw from [0, 1) as `standard_noise` does."""
    return _drawn(torch.rand, shape, like, generator)


def _drawn(
    draw: Callable[..., Tensor], shape: Sequence[int], like: Tensor, generator: Generator | None
) -> Tensor:
    source = like.device if generator is None else generator.device
    drawn = draw(tuple(shape), generator=generator, device=source, dtype=like.dtype)
    return drawn.to(like.device)
