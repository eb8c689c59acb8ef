"""Nearest neighbours by PyTorch3D, where somebody has it installed.

Its search takes batches of clouds and no table of pairs, so each pair is laid out as two clouds of
its own, as many at a time as a budget of memory holds.
"""

from __future__ import annotations

from types import ModuleType

from torch import Tensor

__all__ = ["nearest", "pair_means"]

# Also below 2^31 coordinates, beyond which the indices inside PyTorch3D's kernels would wrap.
MEMORY = 2**28  # bytes


def nearest(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Find for each point of `a` the nearest point of `b`.

    Args:
        a: (B, N, 3), data units; on a CPU in single precision.
        b: (B, M, 3), data units, dtype and device of `a`.

    Returns:
        (B, N), squared data units: the distance.
        (B, N) int64: indices into M, the first of equally near ones.

    Raises:
        ImportError: PyTorch3D is not installed or does not load.
    """
    found = _import_ops().knn_points(a, b, K=1)
    return found.dists.squeeze(-1), found.idx.squeeze(-1)


def pair_means(a: Tensor, b: Tensor, pairs: Tensor, *, memory: int = MEMORY) -> Tensor:
    """Return the mean squared distances to the nearest points, both ways, of pairs of clouds.

    Args:
        a: (S, N, 3), data units; on a CPU in single precision.
        b: (R, M, 3), data units, dtype and device of `a`.
        pairs: (P, 2) int64: a row of `a` and a row of `b`.
        memory: How many bytes the pairs at work may take; one pair is taken at the least.

    Returns:
        (P, 2), squared data units: from `a` to `b`, and from `b` to `a`.

    Raises:
        ImportError: PyTorch3D is not installed or does not load.
    """
    means = a.new_empty(len(pairs), 2)
    # For each point three coordinates, the distance, the same in double precision, the index.
    point = 4 * a.element_size() + 16
    step = max(1, memory // (point * (a.shape[1] + b.shape[1])))
    for start in range(0, len(pairs), step):
        i, j = pairs[start : start + step].unbind(dim=1)
        firsts, seconds = a[i], b[j]
        for side, (x, y) in enumerate([(firsts, seconds), (seconds, firsts)]):
            squared = nearest(x, y)[0].double()
            means[start : start + step, side] = squared.mean(dim=1).to(a.dtype)
    return means


def _import_ops() -> ModuleType:
    try:
        from pytorch3d import ops
    except (ImportError, OSError) as error:
        raise ImportError(
            f"the backend pytorch3d needs the package PyTorch3D, which does not load ({error}); "
            "`pip install pytorch3d` builds it, and its own instructions name ready-made builds"
        ) from error
    return ops
