"""What a long scoring has worked out so far, kept in one file so that it can be interrupted."""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic

import numpy as np
from torch import Tensor

from pointgen.files import FileError, atomic

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

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the array of a name that there is."""
        return self._arrays[name]

    def put(self, make: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Keep the arrays that `make` returns, if it is time for that.

        A file that cannot be written is warned of, and the work goes on without.
        """
        if self._path is None or monotonic() - self._written < EVERY:
            return
        self._arrays.update(make())
        try:
            with atomic(self._path) as temporary, temporary.open("wb") as file:
                np.savez(file, **self._arrays)  # type: ignore[arg-type]
        except (OSError, FileError) as error:
            warnings.warn(f"{error}; an interruption will cost all the work", stacklevel=2)
            self._path = None
        self._written = monotonic()

    def close(self) -> None:
        """Remove the file: the work is done."""
        if self._path is not None:
            with suppress(OSError):
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
