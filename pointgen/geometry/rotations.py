"""Random rotations of space."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["random_rotations"]


def random_rotations(
    count: int,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Draw rotation matrices from the uniform (Haar) distribution.

    Args:
        count: How many.
        generator: Source of randomness; it may live on another device than the result.
        device: Where the matrices are put.
        dtype: Floating type of the matrices; the default type when None.

    Returns:
        (count, 3, 3), each with determinant 1; a column vector p turns into R @ p.
    """
    source = torch.device(device) if generator is None else generator.device
    quaternions = torch.randn(count, 4, generator=generator, device=source, dtype=dtype)
    # A Gaussian in four dimensions has no preferred direction, and unit quaternions cover
    # the rotations evenly.
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1).to(device).unbind(-1)
    entries = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(entries, dim=-1).view(count, 3, 3)
