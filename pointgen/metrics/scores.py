"""Scores of a set of clouds against a reference set, from tables of distances between clouds.

The names and definitions are PointFlow's; any distance will do.

Source: Achlioptas et al. 2018, section 4 (MMD, COV); Lopez-Paz and Oquab 2017, as used by Yang et
al. 2019, section 5.1 (1-NNA).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["coverage", "minimum_matching_distance", "nearest_neighbour_accuracy"]


def minimum_matching_distance(distances: Tensor) -> float:
    """Return MMD: the mean over the references of the distance to the nearest sample.

    Args:
        distances: (S, R), of sample to reference.

    Returns:
        In the units of the distances; lower is better.

    Raises:
        ValueError: The table is empty, of the wrong shape, or has NaN.
    """
    _check("distances", distances)
    return distances.amin(dim=0).double().mean().item()


def coverage(distances: Tensor) -> float:
    """Return COV: the share of references that are the nearest one of some sample.

    Of equally near references the first counts.

    Args:
        distances: (S, R), of sample to reference.

    Returns:
        From 0 to 1; higher is better. It cannot exceed S / R.

    Raises:
        ValueError: The table is empty, of the wrong shape, or has NaN.
    """
    _check("distances", distances)
    return distances.argmin(dim=1).unique().numel() / distances.shape[1]


def nearest_neighbour_accuracy(ss: Tensor, sr: Tensor, rr: Tensor) -> float:
    """Return 1-NNA: how often a cloud's nearest other cloud is of its own set.

    Each cloud of the union of both sets is classified by its nearest neighbour among all the
    others. Of several equally near neighbours each has an equal share of the vote, so the
    result does not depend on the order of the clouds.

    Args:
        ss: (S, S), distances between samples.
        sr: (S, R), of sample to reference.
        rr: (R, R), distances between references.

    Returns:
        From 0 to 1. Two sets of one distribution give about 0.5 if they are of equal size and not
        tiny, sets that can be told apart give 1, and copies of the references give less than 0.5.

    Raises:
        ValueError: A table is empty, has NaN, or does not fit the others.
    """
    _check("sr", sr)
    samples, references = sr.shape
    _check("ss", ss, (samples, samples))
    _check("rr", rr, (references, references))
    union = torch.cat([torch.cat([ss, sr], dim=1), torch.cat([sr.mT, rr], dim=1)])
    itself = torch.eye(len(union), dtype=torch.bool, device=union.device)
    # Not only infinitely far but never among the nearest: other distances may be infinite too.
    closest = union.masked_fill(itself, torch.inf).amin(dim=1, keepdim=True)
    tied = (union == closest) & ~itself
    is_sample = torch.arange(len(union), device=union.device) < samples
    own = tied & (is_sample.unsqueeze(0) == is_sample.unsqueeze(1))
    return (own.sum(dim=1).double() / tied.sum(dim=1)).mean().item()


def _check(name: str, table: Tensor, shape: tuple[int, int] | None = None) -> None:
    if table.ndim != 2 or table.numel() == 0 or (shape is not None and table.shape != shape):
        expected = "(S, R), not empty" if shape is None else str(shape)
        raise ValueError(f"{name}: expected {expected}, got {tuple(table.shape)}")
    if table.isnan().any():
        raise ValueError(f"{name}: expected distances, got NaN")
