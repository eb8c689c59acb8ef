"""The quantities that papers call EMD: costs of an approximate soft matching, without a bound.

They are here to be compared with published numbers, and for nothing else; `emd` is the distance.

The CUDA kernel that most code bases share fills a table of how much of each point of a goes to each
of b, in passes from near to far, with weights exp(-4^j d^2). Each point has a mass of one, and what
a pass moves is taken off what is left at both ends. The result is often 10 to 40 % above the exact
cost. It is not symmetric (a gives and b takes: some percent), not zero for equal clouds, and it
depends on the unit: the weights have clouds of about unit size in mind.

Source: approxmatch of Fan et al. 2017 ("A point set generation network for 3D object reconstruction
from a single image"), as changed by PointFlow and by PyTorchEMD. Their kernels add in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor

from pointgen.geometry.points import check_clouds

__all__ = ["Kind", "legacy_emd"]

Kind = Literal["pointflow", "pvd", "sum-squared"]

FACTORS = [4.0**j for j in range(7, -2, -1)]  # of the squared distance, in inverse squared units
REST = [0.0]  # a last pass of equal weights, in PyTorchEMD, hands out what is left
EPSILON = 1e-9  # of the kernel, against a division by zero
# Edges under work at a time: small ones stay in the cache of a CPU, a card needs many to be busy.
CPU_EDGES, EDGES = 2**18, 2**24
HELD = 2**25  # as many are computed once and kept, more for each pass anew


@torch.no_grad()
def legacy_emd(a: Tensor, b: Tensor, kind: Kind) -> Tensor:
    """Return what a published code base calls the EMD of each pair of clouds, without gradients.

    Args:
        a: (B, N, 3), data units; the clouds that give, the kernel's first argument.
        b: (B, N, 3), data units.
        kind: "pointflow": mean distance, in 9 passes, so that some mass may stay unmatched
            (PointFlow, and after it ShapeGF, SoftFlow and DPF-Nets). "pvd": mean squared distance,
            in 10 passes (PVD, DiT-3D, LION). "sum-squared": the same as a sum, not divided by N
            (PyTorchEMD).

    Returns:
        (B,): data units for "pointflow", else squared data units.

    Raises:
        ValueError: The kind is none of these, a shape is wrong, or the shapes differ.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind: expected one of {', '.join(get_args(Kind))}, got {kind!r}")
    check_clouds("a", a)
    if b.shape != a.shape:
        raise ValueError(f"b: expected the shape of a {tuple(a.shape)}, got {tuple(b.shape)}")
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    edges = CPU_EDGES if a.device.type == "cpu" else EDGES
    clouds = max(1, edges // a.shape[1] ** 2)
    factors = FACTORS if kind == "pointflow" else FACTORS + REST
    sums = [
        _cost(x, y, factors, kind != "pointflow", edges)
        for x, y in zip(a.to(dtype).split(clouds), b.to(dtype).split(clouds), strict=True)
    ]
    return torch.cat(sums) / (1 if kind == "sum-squared" else a.shape[1])


def _cost(a: Tensor, b: Tensor, factors: list[float], squared: bool, edges: int) -> Tensor:
    """Return the cost (C,) of the soft matchings of clouds (C, N, 3), added up pass by pass."""
    left, right = torch.ones_like(a[..., 0]), torch.ones_like(b[..., 0])  # masses yet to be moved
    total = a.new_zeros(len(a))
    held = list(_blocks(a, b, edges)) if len(a) * a.shape[1] ** 2 <= HELD else None
    for factor in factors:
        ratio, given = torch.zeros_like(left), torch.zeros_like(right)
        for part, squares in held or _blocks(a, b, edges):
            weight = _weights(squares, factor)
            ratio[:, part] = left[:, part] / (_times(weight, right) + EPSILON)
            given += _times(weight.mT, ratio[:, part])
        given *= right
        taken = right * (right / (given + EPSILON)).clamp(max=1)
        right = (right - given).clamp(min=0)
        for part, squares in held or _blocks(a, b, edges):
            weight = _weights(squares, factor)
            moved = ratio[:, part] * _times(weight, taken)
            left[:, part] = (left[:, part] - moved).clamp(min=0)
            weight *= squares if squared else squares.sqrt()
            total += (ratio[:, part] * _times(weight, taken)).sum(dim=1)
    return total


def _weights(squares: Tensor, factor: float) -> Tensor:
    # The least number is nothing beside EPSILON; lesser ones soon slow a processor down.
    return (squares * -factor).clamp_(min=-80).exp_()


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Multiply matrices (C, n, m) by vectors (C, m)."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _blocks(a: Tensor, b: Tensor, edges: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield some rows at a time with their squared distances (C, n, N)."""
    step = max(1, edges // (len(b) * b.shape[1]))
    for start in range(0, a.shape[1], step):
        part = slice(start, start + step)
        # Not by |a|^2 + |b|^2 - 2ab, which cancels for near points.
        distances = torch.cdist(a[:, part], b, compute_mode="donot_use_mm_for_euclid_dist")
        yield part, distances.square()
