"""Official PointFlow checkpoints and statistics on disk; reading never runs code of a file."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import Tensor

from pointgen.files import FileError, atomic
from pointgen.files.arrays import read_array
from pointgen.files.errors import check_regular, expect, library, plausible

__all__ = [
    "Statistics",
    "read_checkpoint",
    "read_statistics",
    "statistics_files",
    "write_checkpoint",
    "write_statistics",
]

MEAN, STD = "train_set_mean.npy", "train_set_std.npy"


@dataclass(frozen=True)
class Statistics:
    """What the official code standardised its training data by, data units.

    Attributes:
        mean: (3,), per axis.
        std: (1,) for all axes or (3,) per axis, positive.
    """

    mean: Tensor
    std: Tensor


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the state dict of an official checkpoint: `{epoch, model, optimizer}` or bare.

    Raises:
        FileError: The file is missing, damaged, no checkpoint, or holds more than tensors and
            plain values.
    """
    content = _loaded(path)
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    if not isinstance(content, Mapping):
        raise FileError(path, f"expected a state dict, got {_kind(content)}")
    for key, value in content.items():
        expect(isinstance(key, str), path, f"expected names of tensors, got the key {key!r:.40}")
        expect(isinstance(value, Tensor), path, f"{key}: expected a tensor, got {_kind(value)}")
        # A tensor may repeat a few numbers endlessly: looking at them all would take all memory.
        stored = value.layout != torch.strided or (
            value.numel() * value.element_size() <= value.untyped_storage().nbytes()
        )
        expect(stored, path, f"{key}: announces more numbers than it holds")
    return dict(content)


def write_checkpoint(path: Path, content: Mapping[str, object]) -> None:
    """Write a checkpoint in the old serialisation, which torch 1.0 reads as well as today's.

    Raises:
        FileError: It cannot be written.
    """
    with atomic(path) as temporary:
        torch.save(dict(content), temporary, _use_new_zipfile_serialization=False)


def read_statistics(folder: Path) -> Statistics:
    """Read `train_set_mean.npy` and `train_set_std.npy` of an official training's folder.

    Raises:
        FileError: A file is missing, damaged, of a wrong shape, or holds impossible numbers.
    """
    mean = _statistic(folder / MEAN, {(1, 1, 3)})
    std = _statistic(folder / STD, {(1, 1, 1), (1, 1, 3)})
    expect(bool((std > 0).all()), folder / STD, f"expected positive numbers, got {std.tolist()}")
    return Statistics(mean, std)


def write_statistics(folder: Path, statistics: Statistics) -> None:
    """Write both files in their official shapes, float32.

    Raises:
        FileError: One cannot be written.
    """
    arrays = (statistics.mean, statistics.std)
    for path, values in zip(statistics_files(folder), arrays, strict=True):
        with atomic(path) as temporary:
            np.save(temporary, values.numpy().astype(np.float32).reshape(1, 1, -1))


def statistics_files(folder: Path) -> tuple[Path, Path]:
    """Return the files of mean and standard deviation in a folder."""
    return folder / MEAN, folder / STD


def _loaded(path: Path) -> object:
    expect(path.exists(), path, "no such file")
    expect(path.is_file(), path, "expected a checkpoint, got a folder or a device")
    expect(path.stat().st_size > 0, path, "is empty (0 bytes)")
    with library(path, "a PyTorch checkpoint"):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                expanded = sum(member.file_size for member in archive.infolist())
            plausible(path, expanded, path.stat().st_size)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        # Torch's own words are many, and advise to let the file run code.
        except (UnpicklingError, RuntimeError) as error:
            raise FileError(path, _reason(error)) from error


def _reason(error: Exception) -> str:
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign:
        return f"holds {foreign[1]}: only tensors and plain values are loaded, never code"
    return "cannot be read as a PyTorch checkpoint: damaged, or of another kind"


def _kind(value: object) -> str:
    return type(value).__name__


def _statistic(path: Path, shapes: set[tuple[int, ...]]) -> Tensor:
    check_regular(path)
    array = read_array(path)
    expect(
        array.shape in shapes and array.dtype.kind == "f",
        path,
        f"expected numbers of shape {' or '.join(map(str, sorted(shapes)))}, "
        f"got {array.dtype} of {array.shape}",
    )
    expect(bool(np.isfinite(array).all()), path, "holds NaN or infinite numbers")
    return torch.from_numpy(array.astype(np.float64).reshape(-1))
