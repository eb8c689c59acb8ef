"""Where to compute, by name."""

from __future__ import annotations

__all__ = ["torch_device"]

# What there always is. Tests put another device in its place (`pytest --device`).
PLAIN = "cpu"


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
