"""Chamfer distances between clouds, and the nearest points they are made of.

CD(a, b) = mean over a of the squared distance to the nearest of b, plus the same with a and b
exchanged: PointFlow's convention, squared and summed, with no further factor.

All distances are sums of squared differences of coordinates, never |a|^2 + |b|^2 - 2ab: that one
cancels for near points, and with only three coordinates it is not even faster. The relative error
in float32 is below 1e-6 (some 1e-7 is usual), and identical clouds are at distance exactly zero.

Whoever does the work, the answers are the same up to rounding. `backend` names it:

- "auto": "cpu" on a CPU; "triton" on a CUDA device, where Triton is installed; else "torch".
- "cpu": compiled loops in several threads, which leave out whole groups of far points.
- "torch": PyTorch alone, on any device; many times slower.
- "triton": kernels for CUDA devices.
- "pytorch3d": PyTorch3D, if you have it: CUDA, or a CPU in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointgen.geometry.kernels import Backend, Kernel, choose
from pointgen.geometry.points import check_clouds, take

__all__ = ["Backend", "Nearest", "chamfer", "nearest", "pairwise_chamfer", "pairwise_means"]

MEMORY = 2**28  # bytes
# Each call of a kernel prepares all the clouds of its pairs: for less than this share of the work,
# at these least numbers of rows and pairs, yet often enough for a report of progress.
ROWS_AT_ONCE, PAIRS_AT_ONCE = 16, 4096


@dataclass(frozen=True)
class Nearest:
    """The nearest point of another cloud, for each point of a cloud.

    Attributes:
        squared: (B, N), the squared distances, squared data units.
        index: (B, N) int64, which of the M points; of equally near ones the first.
    """

    squared: Tensor
    index: Tensor


def chamfer(a: Tensor, b: Tensor, *, backend: Backend = "auto") -> Tensor:
    """Return the Chamfer distance of each pair of clouds, differentiably.

    The gradient is that of the distances to the points that are the nearest now.

    Args:
        a: (B, N, 3), data units.
        b: (B, M, 3), data units.
        backend: See above.

    Returns:
        (B,), squared data units. Not finite where a cloud is not.

    Raises:
        ValueError: A shape is wrong, the batch sizes differ, or the backend cannot do it.
    """
    a, b, kernel = _prepare(a, b, backend, MEMORY)
    _check_batch(a, b)
    there, back = _mutual(kernel, a, b)
    if kernel.gradient is not None:
        return _Chamfer.apply(a, b, there, back, kernel)
    return _chamfer(a, b, there, back)


def nearest(a: Tensor, b: Tensor, *, backend: Backend = "auto") -> Nearest:
    """Find for each point of `a` the nearest point of `b`; without gradients.

    Args:
        a: (B, N, 3), data units.
        b: (B, M, 3), data units.
        backend: See above.

    Returns:
        The squared distances and the indices. Where one of two clouds is not finite, all their
        distances are NaN, and the indices are of some points.

    Raises:
        ValueError: A shape is wrong, the batch sizes differ, or the backend cannot do it.
    """
    a, b, kernel = _prepare(a.detach(), b.detach(), backend, MEMORY)
    _check_batch(a, b)
    squared, index = kernel.nearest(a, b)
    sound = _sound(a) & _sound(b)
    return Nearest(squared.where(sound.unsqueeze(1), torch.nan), index)


def pairwise_chamfer(
    a: Tensor,
    b: Tensor,
    *,
    rows: range | None = None,
    progress: Callable[[int], None] | None = None,
    memory: int = MEMORY,
    backend: Backend = "auto",
) -> Tensor:
    """Return the Chamfer distance of every cloud of `a` to every cloud of `b`.

    See `pairwise_means` for the arguments.

    Returns:
        (S, R), squared data units.

    Raises:
        ValueError: A shape is wrong, or the backend cannot do it.
    """
    means = pairwise_means(a, b, rows=rows, progress=progress, memory=memory, backend=backend)
    return means.sum(dim=-1)


@torch.no_grad()
def pairwise_means(
    a: Tensor,
    b: Tensor,
    *,
    rows: range | None = None,
    progress: Callable[[int], None] | None = None,
    memory: int = MEMORY,
    backend: Backend = "auto",
) -> Tensor:
    """Return the mean squared distances to the nearest points of every cloud of `a` and of `b`.

    Runs on the device of the clouds and without gradients. If `b` is the very object `a`, half of
    the table is computed and mirrored.

    Args:
        a: (S, N, 3), data units.
        b: (R, M, 3), data units.
        rows: Compute only these rows of the table, and their mirror images if `b` is `a`; the rest
            is zero, so that tables of different rows add up to the whole one. None: all rows.
        progress: Called with the number of pairs (of S x R) done since the last call.
        memory: How many bytes the distances under work may take where a backend keeps them; one
            point of a cloud is taken against one cloud at the least.
        backend: See above.

    Returns:
        (S, R, 2), squared data units: the mean over the points of the cloud of `a`, and the mean
        over those of the cloud of `b`. NaN where a cloud is not finite.

    Raises:
        ValueError: A shape is wrong, or the backend cannot do it.
    """
    mirrored = a is b
    a, b, kernel = _prepare(a.detach(), b.detach(), backend, memory)
    sound_a, sound_b = _sound(a), _sound(b)
    means = a.new_zeros(len(a), len(b), 2)
    rows = range(len(a)) if rows is None else rows
    step = max(ROWS_AT_ONCE, PAIRS_AT_ONCE // len(b))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        first = min(part) if mirrored else 0  # no column before it is wanted
        i = torch.tensor(part, device=a.device)
        j = torch.arange(first, len(b), device=a.device)
        wanted = j >= i.unsqueeze(1) if mirrored else torch.ones_like(i.unsqueeze(1) + j).bool()
        pairs = wanted.nonzero()
        found = kernel.pair_means(a[i], b[first:], pairs)
        i, j = i[pairs[:, 0]], j[pairs[:, 1]]
        found = found.where((sound_a[i] & sound_b[j]).unsqueeze(1), torch.nan)
        if mirrored:
            means[j, i] = found.flip(1)
        means[i, j] = found
        if progress is not None:
            progress(sum(2 * (len(b) - i) - 1 if mirrored else len(b) for i in part))
    return means


class _Chamfer(torch.autograd.Function):
    """The distance, with the gradient that a kernel computes."""

    @staticmethod
    def forward(
        context: Any, a: Tensor, b: Tensor, there: Tensor, back: Tensor, kernel: Kernel
    ) -> Tensor:
        context.save_for_backward(a, b, there, back)
        context.gradient = kernel.gradient
        return _chamfer(a, b, there, back)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return *context.gradient(*context.saved_tensors, gradient), None, None, None


def _chamfer(a: Tensor, b: Tensor, there: Tensor, back: Tensor) -> Tensor:
    """Return the distances (B,), given the indices of the nearest points there and back."""
    forward = (a - take(b, there)).square().sum(dim=-1).mean(dim=-1)
    backward = (b - take(a, back)).square().sum(dim=-1).mean(dim=-1)
    return forward + backward


def _mutual(kernel: Kernel, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices of the nearest points of b, (B, N), and of a, (B, M)."""
    a, b = a.detach(), b.detach()
    if kernel.mutual is None:
        return kernel.nearest(a, b)[1], kernel.nearest(b, a)[1]
    _, there, _, back = kernel.mutual(a, b)
    return there, back


def _sound(clouds: Tensor) -> Tensor:
    """Return which clouds (B,) have finite coordinates alone: NaN confuses minima."""
    return clouds.isfinite().flatten(1).all(dim=1)


def _prepare(a: Tensor, b: Tensor, backend: Backend, memory: int) -> tuple[Tensor, Tensor, Kernel]:
    """Check two sets, bring them into one precision, single at least, and choose a kernel."""
    for name, clouds in (("a", a), ("b", b)):
        check_clouds(name, clouds)
    if a.device != b.device:
        raise ValueError(f"b: expected clouds on {a.device} as in a, got {b.device}")
    dtype = torch.promote_types(torch.float32, torch.promote_types(a.dtype, b.dtype))
    a, b = a.to(dtype).contiguous(), b.to(dtype).contiguous()
    return a, b, choose(backend, a, memory)


def _check_batch(a: Tensor, b: Tensor) -> None:
    if len(a) != len(b):
        raise ValueError(f"b: expected {len(a)} clouds as in a, got {len(b)}")
