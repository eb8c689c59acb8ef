"""Packing a data set of any kind into one HDF5 file, which can be killed and goes on."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from pointgen.datasets.detect import splits_of
from pointgen.datasets.hdf5_layouts import HDF5_SUFFIXES
from pointgen.datasets.pack_parts import Joined, fill, join, parts_of, rows_of_chunk
from pointgen.datasets.pack_reading import Reader, mark, reader_of
from pointgen.datasets.packed import text
from pointgen.datasets.settings import Progress, Split
from pointgen.files import FileError, atomic
from pointgen.files.errors import expect, library, writing
from pointgen.files.lock import locked
from pointgen.files.targets import check_free

if TYPE_CHECKING:
    from pointgen.datasets import CloudsConfig

__all__ = ["PackResult", "pack"]

FORMAT = 1  # of the packed file and of the parts
# A kill while a part is written leaves a file under the name that `atomic` gave it.
UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.(h5|json|zip)")


Bar = Callable[[str], AbstractContextManager[Progress]]


@contextmanager
def silent(title: str) -> Iterator[Progress]:
    """Show no progress."""
    yield lambda done, total: None


@dataclass(frozen=True)
class PackResult:
    """What was packed.

    Attributes:
        path: the packed file.
        splits: its splits.
        size: of the file, in bytes.
        found: shapes that an earlier, interrupted pack had done.
    """

    path: Path
    splits: Mapping[Split, Joined]
    size: int
    found: int


def pack(
    config: CloudsConfig,
    out: Path,
    *,
    splits: Sequence[Split] | None = None,
    force: bool = False,
    bar: Bar = silent,
) -> PackResult:
    """Write all shapes of a data set to one HDF5 file; `kind = "hdf5"` reads it.

    A dataset of the file, built with the settings of `config`, has the same shapes in the same
    order, and draws the same points. Where it is interrupted the parts that are done stay in a
    hidden folder beside `out`, and the same call goes on from there. `out` appears complete.

    Args:
        config: the data set.
        out: the file, `*.h5` or `*.hdf5`.
        splits: which splits; those that are there if not given.
        force: overwrite the file, and drop what a pack of something else has begun.
        bar: opens the progress of one stage of the work.

    Raises:
        ValueError: `out` exists, is being written, or was begun with other settings; or the data
            are not there, or a shape cannot be used.
    """
    _check_target(out, force)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    config = _located(config)
    folder = out.with_name(f".{out.name}.parts")
    try:
        with bar("looking"):
            readers = {split: reader_of(config, split) for split in splits or splits_of(config)}
        with _claimed(folder, out):
            _check_target(out, force)  # another may have finished it meanwhile
            found, joined = _packed(config, readers, folder, out, force, bar)
    finally:
        reader_of.cache_clear()  # the data may change until the next call
    return PackResult(out, joined, out.stat().st_size, found)


def _check_target(out: Path, force: bool) -> None:
    known = out.suffix.lower() in HDF5_SUFFIXES
    expect(known, out, f"expected the ending {' or '.join(HDF5_SUFFIXES)} of a file to write")
    check_free([out], force)


def _located(config: CloudsConfig) -> CloudsConfig:
    """Make the paths absolute, for the file's provenance and to know an interrupted pack again."""
    paths = {key: value for key, value in config if isinstance(value, Path)}
    return config.model_copy(update={k: p.expanduser().absolute() for k, p in paths.items()})


@contextmanager
def _claimed(folder: Path, out: Path) -> Iterator[None]:
    """Hold the folder of the parts, which goes when there is none in it at the end."""
    with writing(out):
        folder.mkdir(exist_ok=True)

    def taken(owner: str) -> FileError:
        return FileError(out, f"is being packed by another process ({owner})")

    with locked(folder / "lock", taken):
        try:
            yield
        finally:
            if not any(folder.glob("*.zip")):
                shutil.rmtree(folder)


def _plan(
    config: CloudsConfig, readers: Mapping[Split, Reader], chunks: Mapping[Split, int]
) -> dict[str, Any]:
    """What must be the same for parts to belong together."""
    plan: dict[str, Any] = {"format": FORMAT}
    plan |= {f"data.{key}": value for key, value in config.model_dump(mode="json").items()}
    for split, reader in readers.items():
        plan |= {f"the shapes of {split}": mark(reader), f"the size of {split}": chunks[split]}
    return plan


def _begin(folder: Path, out: Path, plan: dict[str, Any], *, force: bool) -> None:
    """Write down what is packed, or make sure that it is what was begun here."""
    path = folder / "plan.json"
    for stray in folder.iterdir():
        if UNFINISHED.fullmatch(stray.name):
            stray.unlink()
    with library(path, "JSON"):
        begun = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else plan
    differ = [key for key in begun | plan if begun.get(key) != plan.get(key)]
    if differ and not force:
        key = differ[0]
        words = "differ" if key.startswith("the ") else f"was {begun.get(key)}, is {plan.get(key)}"
        raise FileError(
            out, f"a pack of something else was begun ({key} {words}); --force drops {folder}"
        )
    if differ:
        for old in folder.glob("*.zip"):
            old.unlink()
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(plan), encoding="utf-8")


def _check_space(out: Path, folder: Path) -> None:
    """Make sure that the file fits on the disk beside its parts: HDF5 takes a full one badly."""
    needed = sum(part.stat().st_size for part in folder.glob("*.zip"))
    free = shutil.disk_usage(folder).free
    room = f"cannot be written: needs {needed} bytes, {free} are free; all parts are in {folder}"
    expect(needed < free, out, room)


def _describe(file: Any, config: CloudsConfig, reader: Reader) -> None:
    """Write where the shapes come from, and the categories of all splits."""
    file["categories"] = text(reader.categories)
    source = config.model_dump(mode="json")
    file.attrs["format"] = FORMAT
    file.attrs["pointgen"] = version("pointgen")
    file.attrs["created"] = datetime.now(UTC).isoformat(timespec="seconds")
    file.attrs["source"] = str(source.get("root") or source.get("path") or config.kind)
    file.attrs["settings"] = json.dumps(source)


def _packed(
    config: CloudsConfig,
    readers: Mapping[Split, Reader],
    folder: Path,
    out: Path,
    force: bool,
    bar: Bar,
) -> tuple[int, dict[Split, Joined]]:
    """Do the work; return how many shapes were there already, and what became of all."""
    chunks = {split: rows_of_chunk(config, split) for split in readers}
    _begin(folder, out, _plan(config, readers, chunks), force=force)
    parts = {split: parts_of(reader, split, folder) for split, reader in readers.items()}
    found = 0
    for split in readers:
        with bar(f"reading {split}") as advance:
            found += fill(config, parts[split], chunks[split], advance)
    _check_space(out, folder)
    joined = {}
    with atomic(folder / "whole.h5") as temporary, h5py.File(temporary, "w") as file:
        _describe(file, config, next(iter(readers.values())))
        for split, reader in readers.items():
            with bar(f"joining {split}") as advance:
                group = file.create_group(split)
                joined[split] = join(group, reader, parts[split], chunks[split], advance)
    with writing(out):
        (folder / "whole.h5").replace(out)
    for part in folder.glob("*.zip"):
        part.unlink()
    return found, joined
