"""The units that clouds are brought to before they are compared."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["UNITS", "Units", "in_units"]

Units = Literal["data", "box", "half_box", "std"]

UNITS: dict[Units, str] = {
    "data": "data units, nothing is rescaled",
    "box": "each cloud's own bounding box: its centre at 0, its longest side from -1 to 1",
    "half_box": "each cloud's own bounding box: its centre at 0, its longest side from -0.5 to 0.5",
    "std": "each cloud's own mean at 0, standard deviation 1 over all its coordinates",
}


def in_units(clouds: Tensor, units: Units) -> Tensor:
    """Bring each cloud to the given units by a frame of its own.

    Args:
        clouds: (S, N, 3), data units.
        units: a key of `UNITS`.

    Returns:
        (S, N, 3); NaN throughout for a cloud without size, which has no such frame.

    Raises:
        ValueError: There are no such units.
    """
    if units not in UNITS:
        raise ValueError(f"units: expected one of {', '.join(get_args(Units))}, got {units!r}")
    if units == "data":
        return clouds
    exact = clouds.double()
    low, high = exact.amin(dim=1, keepdim=True), exact.amax(dim=1, keepdim=True)
    if units == "std":
        centre = exact.mean(dim=1, keepdim=True)
        scale = (exact - centre).square().mean(dim=(1, 2), keepdim=True).sqrt()
    else:
        centre = (low + high) / 2
        scale = (high - low).amax(dim=2, keepdim=True) / (2 if units == "box" else 1)
    # Asked of the points as they came: rounding in the mean must not pass for a size.
    scale = torch.where((low == high).all(dim=2, keepdim=True), torch.nan, scale)
    return ((exact - centre) / scale).to(clouds.dtype)
