"""Clouds with the way that they took from noise, in one npz file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointgen.files.arrays import read_member
from pointgen.files.atomic import atomic
from pointgen.files.errors import expect
from pointgen.files.write import check_target

__all__ = ["check_frames_target", "read_frames", "write_frames"]


def check_frames_target(path: Path, *, force: bool = False) -> None:
    """Refuse what `write_frames` could not write to, so that nothing is computed in vain.

    Raises:
        FileError: The file exists already or cannot be written, or has another ending.
    """
    expect(path.suffix.lower() == ".npz", path, "expected a name that ends in .npz for frames")
    check_target(path, force=force)


def write_frames(
    path: Path, frames: np.ndarray, *, ids: Sequence[str], force: bool = False
) -> Path:
    """Write clouds and their ways; whatever reads clouds finds those at the ways' ends.

    Args:
        path: `*.npz`.
        frames: (S, T, N, 3), data units, the last of T being the clouds.
        ids: of the clouds.
        force: overwrite the file.

    Raises:
        FileError: The file exists already or cannot be written, or has another ending.
    """
    path = Path(path)
    check_frames_target(path, force=force)
    frames = np.asarray(frames, dtype=np.float32)
    names = np.array(list(ids), dtype=np.str_)
    with atomic(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, points=frames[:, -1], frames=frames, ids=names)
    return path


def read_frames(path: Path) -> np.ndarray | None:
    """Return the ways (S, T, N, 3) in an npz file, None where there are none.

    Raises:
        FileError: What is there is no array of finite numbers of that shape.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        return None
    frames = read_member(path, "frames")
    if frames is None:
        return None
    good = frames.ndim == 4 and frames.shape[-1] == 3 and frames.dtype.kind == "f"
    expect(good and frames.size > 0, path, f"frames: expected (S, T, N, 3), got {frames.shape}")
    expect(bool(np.isfinite(frames).all()), path, "frames: not all numbers are finite")
    return frames.astype(np.float32)
