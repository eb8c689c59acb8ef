"""What all kernels in Triton need to be launched: clouds as planes, and the right device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
from torch import Tensor

__all__ = ["on", "planes"]


def planes(clouds: Tensor, multiple: int) -> Tensor:
    """Return clouds (S, N, 3) as (S, 3, K), K a multiple of `multiple`, filled up with infinity.

    Loads of one coordinate are then aligned and contiguous, and those of a cloud that is searched
    need no mask: a point at infinity is nobody's nearest.
    """
    size, count, _ = clouds.shape
    planes = clouds.new_full((size, 3, triton.cdiv(count, multiple) * multiple), torch.inf)
    planes[:, :, :count] = clouds.mT
    return planes


def on(device: torch.device) -> AbstractContextManager[object]:
    """Make a device PyTorch's current one: Triton launches there, on the current stream."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
