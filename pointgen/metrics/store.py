"""What a long scoring has worked out so far, kept in one file so that it can be interrupted."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import numpy as np
from torch import Tensor

from pointgen.files import atomic

__all__ = ["Store", "fingerprint"]

EVERY = 20.0  # seconds between writes: what a kill costs at most


class Store:
    """Named arrays, in memory and, where a path is given, in an npz file that is replaced whole."""

    def __init__(self, path: Path | None = None) -> None:
        """Take what the file holds; one that cannot be read counts as empty."""
        self._path = path
        self._arrays = {} if path is None else _read(path)
        self._written = monotonic()

    def names(self) -> list[str]:
        """Return what there is."""
        return list(self._arrays)

    def get(self, name: str) -> np.ndarray | None:
        """Return the array of a name, if there is one."""
        return self._arrays.get(name)

    def put(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep arrays; they reach the file within `EVERY` seconds of further calls."""
        self._arrays.update(arrays)
        if self._path is not None and monotonic() - self._written > EVERY:
            with atomic(self._path) as temporary, temporary.open("wb") as file:
                np.savez(file, **self._arrays)  # type: ignore[arg-type]
            self._written = monotonic()

    def close(self) -> None:
        """Remove the file: the work is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def fingerprint(clouds: Mapping[str, Tensor], *settings: object) -> str:
    """Return what tells this work from any other: a hash of all clouds and settings."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, points in clouds.items():
        digest.update(f"{name} {tuple(points.shape)} {points.dtype}".encode())
        digest.update(points.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def _read(path: Path) -> dict[str, np.ndarray]:
    # A cache of our own: damaged, it is worth nothing more than the time it saves.
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
