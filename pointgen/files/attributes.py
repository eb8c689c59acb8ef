"""What is known of each point beyond its place: normals, colours, labels.

A fault in these never makes a file unreadable: what cannot be used is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pointgen.files.errors import expect
from pointgen.files.raw import Raw

__all__ = ["ATTRIBUTES", "Usable", "checked", "usable"]

Usable = dict[str, np.ndarray | None]

LABEL_BOUND = 2**53  # beyond it, a label that was a float may be another one


def usable(raw: Raw, lead: tuple[int, ...]) -> tuple[Usable, tuple[str, ...]]:
    """Return normals, colours and labels as a `Cloud` has them, and what was left out and why.

    Args:
        raw: What was found in a file.
        lead: The shape of the points without its last axis: (N,) or (S, N).
    """
    found: Usable = {}
    left_out = list(raw.left_out)
    arrays = {"normals": raw.normals, "colours": raw.colours, "labels": raw.labels}
    for name, check in ATTRIBUTES.items():
        array = arrays[name]
        fault = None if array is None else check(array, lead)
        found[name] = fault if isinstance(fault, np.ndarray) else None
        if isinstance(fault, str):
            left_out.append(f"{name}, which {fault}")
    return found, tuple(left_out)


def checked(path: Path, name: str, array: np.ndarray, count: int) -> np.ndarray:
    """Return normals, colours or labels of `count` points as they are written to a file.

    Raises:
        FileError: They are not finite numbers (count, 3), uint8 (count, 3), or integers (count,)
            of 32 bits, in this order; the message names `path`, which is to be written.
    """
    shape = (count,) if name == "labels" else (count, 3)
    kinds, kind = {"normals": ("fiu", "f4"), "colours": ("u", "u1"), "labels": ("iu", "i4")}[name]
    expect(
        array.shape == shape and array.dtype.kind in kinds,
        path,
        f"expected {name} of shape {shape} and type {kind} to write, got {array.dtype} of "
        f"{array.shape}",
    )
    with np.errstate(over="ignore", invalid="ignore"):
        written = array.astype(kind)
    expect(
        bool(np.isfinite(written).all()) and (name == "normals" or bool((written == array).all())),
        path,
        f"expected finite {name} that fit {kind} to write",
    )
    return written


def _normals(array: np.ndarray, lead: tuple[int, ...]) -> np.ndarray | str:
    if array.dtype.kind not in "fiu" or array.shape != (*lead, 3):
        return f"are {array.dtype} of shape {array.shape}"
    with np.errstate(over="ignore", invalid="ignore"):
        normals = np.array(array, np.float32, order="C")
    return normals if np.isfinite(normals).all() else "are not all finite"


def _colours(array: np.ndarray, lead: tuple[int, ...]) -> np.ndarray | str:
    """Return bytes; opacity, in a fourth column, is not kept."""
    if array.dtype.kind not in "fiu" or array.shape not in ((*lead, 3), (*lead, 4)):
        return f"are {array.dtype} of shape {array.shape}"
    array = array[..., :3]
    low, high = array.min(), array.max()
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.round(array * 255.0).astype(np.uint8)
    if array.dtype == np.uint16 and high > 255:
        return np.round(array / 257).astype(np.uint8)  # 65535 is 255
    if low >= 0 and high <= 255 and (array.dtype.kind != "f" or (array == np.floor(array)).all()):
        return np.array(array, np.uint8, order="C")
    return "are neither whole numbers from 0 to 255 nor shares of one"


def _labels(array: np.ndarray, lead: tuple[int, ...]) -> np.ndarray | str:
    if array.dtype.kind not in "fiub" or array.shape not in (lead, (*lead, 1)):
        return f"are {array.dtype} of shape {array.shape}"
    array = array.reshape(lead)
    if array.dtype.kind == "f" and not (array == np.floor(array)).all():
        return "are not whole numbers"
    if array.dtype.kind in "fu" and not np.abs(array).max() <= LABEL_BOUND:
        return f"exceed {LABEL_BOUND}"
    return np.array(array, np.int64, order="C")


ATTRIBUTES: dict[str, Callable[[np.ndarray, tuple[int, ...]], np.ndarray | str]] = {
    "normals": _normals,
    "colours": _colours,
    "labels": _labels,
}
