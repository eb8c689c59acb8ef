"""Nearest points and their mean distances, computed in several ways: which one, and what it does.

The modules that `choose` picks one of are alike from outside. What calls them has
checked the shapes, has brought both sets into float32 or float64, contiguous and on one device,
and wants no gradient.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["Backend", "Kernel", "choose"]

Backend = Literal["auto", "cpu", "torch", "triton", "pytorch3d"]


@dataclass(frozen=True)
class Kernel:
    """What each way can do.

    Attributes:
        nearest: For clouds a, (B, N, 3), and b, (B, M, 3): the squared distance (B, N) of each
            point of `a` to the nearest of `b`, and the index of that one, (B, N) int64; of equally
            near points the first.
        pair_means: For clouds a, (S, N, 3), and b, (R, M, 3), and pairs (P, 2) int64 of rows of
            `a` and `b`: the means (P, 2) of the squared distances of the points of the one to the
            nearest of the other, from `a` to `b` and from `b` to `a`.
        mutual: What `nearest` returns for a and b, and then for b and a. None: nothing is gained by
            asking for both at once.
        gradient: For a, b, the indices of `nearest` there and back, and the gradients (B,) by
            Chamfer distances: the gradients by `a` and `b`. None: autograd is as good.
    """

    nearest: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    pair_means: Callable[[Tensor, Tensor, Tensor], Tensor]
    mutual: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor, Tensor]] | None = None
    gradient: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] | None = (
        None
    )


def choose(backend: Backend, like: Tensor, memory: int) -> Kernel:
    """Return the kernel of that name, or the fastest for such clouds.

    Args:
        backend: Its name; see `pointgen.geometry.distances`.
        like: Clouds in the precision and on the device of all.
        memory: How many bytes the distances under work may take, where they are kept at all.

    Raises:
        ValueError: There is no such kernel, it cannot work there, or it is not installed.
    """
    kind = like.device.type
    if backend == "auto":
        backend = _best(kind)
    if backend == "cpu":
        _expect(kind == "cpu", f"cpu takes clouds on a CPU, got {like.device}")
        from pointgen.geometry.kernels import cpu

        return Kernel(cpu.nearest, cpu.pair_means, mutual=cpu.mutual)
    if backend == "torch":
        from pointgen.geometry.kernels import blocked

        return Kernel(
            partial(blocked.nearest, memory=memory), partial(blocked.pair_means, memory=memory)
        )
    if backend == "triton":
        _installed(backend)
        # With this variable Triton interprets its kernels, on any device.
        fits = kind == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
        _expect(fits, f"triton takes clouds on a CUDA device, got {like.device}")
        from pointgen.geometry.kernels import cuda

        return Kernel(cuda.nearest, cuda.pair_means, gradient=cuda.chamfer_gradient)
    if backend == "pytorch3d":
        _installed(backend)
        fits = kind == "cuda" or (kind == "cpu" and like.dtype == torch.float32)
        _expect(fits, f"pytorch3d takes CUDA or float32 on a CPU, got {like.dtype}, {like.device}")
        from pointgen.geometry.kernels import pytorch3d

        return Kernel(pytorch3d.nearest, partial(pytorch3d.pair_means, memory=memory))
    raise ValueError(f"backend: expected one of {', '.join(get_args(Backend))}, got {backend!r}")


def _best(kind: str) -> Backend:
    if kind == "cuda" and find_spec("triton") is not None:
        return "triton"
    return "cpu" if kind == "cpu" else "torch"


def _installed(package: str) -> None:
    _expect(find_spec(package) is not None, f"{package} is not installed")


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(f"backend: {message}")
