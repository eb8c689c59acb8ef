"""Where to compute: devices by name, and how many cores there are for us."""

from __future__ import annotations

import os
import sys

__all__ = ["cores", "torch_device"]

# What there always is. Tests put another device in its place (`pytest --device`).
PLAIN = "cpu"


def cores() -> int:
    """Return how many cores this process may use, which a container or batch system may limit."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def torch_device(name: str) -> str:
    """Turn auto, cpu or cuda into a device that is there.

    Raises:
        ValueError: It is no such name, or cuda was asked for where there is none.
    """
    import torch  # here, since the command line's help does without

    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: expected auto, cpu or cuda, got {name}")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError("device: cuda was asked for, but this machine or this torch has no CUDA")
    return "cuda" if there and name != "cpu" else PLAIN
