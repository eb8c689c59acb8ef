"""Earth mover's distance (EMD) of equal-sized clouds, with a proof of how exact it is.

EMD(a, b) = the least mean cost of a one-to-one matching of the points of a with those of b, where
the cost of an edge is its length in data units, or its squared length by choice. What others call
EMD is often the result of an approximation without a bound; see `legacy_emd`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from pointgen.geometry.matchings import Matching
from pointgen.geometry.points import check_clouds, take

__all__ = ["Matching", "emd", "match"]


def emd(a: Tensor, b: Tensor, *, squared: bool = False, error: float = 0.0) -> Tensor:
    """Return the earth mover's distance of each pair of clouds, differentiably.

    The gradient is that of the cost of the matching found, which stays as it is. The gradient of a
    distance zero is zero.

    Args:
        a: (B, N, 3), data units.
        b: (B, N, 3), data units.
        squared: Whether the cost of an edge is its squared length.
        error: How far the result may be above the exact one, relative to it; see `match`.

    Returns:
        (B,), data units, or squared data units.

    Raises:
        ValueError: A shape is wrong, a coordinate is not finite or the error is negative.
    """
    partner = match(a, b, squared=squared, error=error).assignment
    difference = a - take(b, partner)
    if squared:
        return difference.square().sum(dim=-1).mean(dim=-1)
    return torch.linalg.vector_norm(difference, dim=-1).mean(dim=-1)


@torch.no_grad()
def match(a: Tensor, b: Tensor, *, squared: bool = False, error: float = 0.0) -> Matching:
    """Match the points of each pair of clouds one to one, at the least mean cost.

    On a CPU the matching is always exact: the approximations there take as long. On a CUDA device
    an error above zero is faster; the exact solver runs on the CPU, several pairs at a time.

    Args:
        a: (B, N, 3), data units.
        b: (B, N, 3), data units.
        squared: Whether the cost of an edge is its squared length.
        error: The cost of a matching may be above its proven bound by this, relative to the bound.

    Returns:
        Matchings, their costs and proven bounds, on the device of the clouds. A bound is below the
        cost by rounding only (some 1e-12 of the largest cost of an edge) where the matching is
        exact.

    Raises:
        ValueError: A shape is wrong, a coordinate is not finite or the error is negative.
    """
    _check(a, b, error)
    if a.is_cuda and error > 0:
        from pointgen.geometry.auction import auction

        return auction(a, b, squared=squared, error=error)
    return _exact(a, b, squared)


def _exact(a: Tensor, b: Tensor, squared: bool) -> Matching:
    from pointgen.geometry.assignment import Assignment, assign

    firsts, seconds = (clouds.cpu().double().numpy() for clouds in (a, b))

    def solve(pair: tuple[np.ndarray, np.ndarray]) -> Assignment:
        return assign(*pair, squared=squared)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        found = list(pool.map(solve, zip(firsts, seconds, strict=True)))
    return Matching(
        torch.from_numpy(np.stack([pair.assignment for pair in found])).to(a.device),
        torch.tensor([pair.cost for pair in found], dtype=torch.float64, device=a.device),
        torch.tensor([pair.bound for pair in found], dtype=torch.float64, device=a.device),
    )


def _check(a: Tensor, b: Tensor, error: float) -> None:
    for name, clouds in (("a", a), ("b", b)):
        check_clouds(name, clouds)
    if len(a) != len(b):
        raise ValueError(f"b: expected {len(a)} clouds as in a, got {len(b)}")
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"b: expected {a.shape[1]} points in each cloud as in a, got {b.shape[1]}; a one-to-one"
            " matching needs equal numbers"
        )
    for name, clouds in (("a", a), ("b", b)):
        if not clouds.isfinite().all():
            raise ValueError(f"{name}: expected finite coordinates, got NaN or infinity")
    if not error >= 0:
        raise ValueError(f"error: expected at least 0, got {error}")
