"""The folder of a run: who may train into it, and with which config."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pointgen.config import Experiment, write_config
from pointgen.training.checkpoint import RunError, read_run

__all__ = ["claimed"]

# A run may be made longer, log more often, or use another number of workers; but these decide
# what the steps before mean for the steps after.
FIXED_TRAIN_KEYS = frozenset({"seed", "batch_size", "ema"})
# A kill while saving leaves a file under the temporary name that `pointgen.files.atomic` gave it.
UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.(toml|safetensors|csv)")


@contextmanager
def claimed(out: Path, experiment: Experiment, *, resume: bool) -> Iterator[None]:
    """Hold the folder of a run for one training, with its config in it.

    Raises:
        RunError: The folder holds something else, or another training uses it, or it was begun
            with another config.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: expected a folder, got a file")
    used = out.is_dir() and not _only_begun(out)
    if used and not resume:
        raise RunError(f"{out}: exists; continue it with --resume, or choose another --out")
    if used and not (out / "config.toml").exists():
        raise RunError(f"{out}: cannot be resumed, it is not a run (there is no config.toml)")
    (out / "state").mkdir(parents=True, exist_ok=True)
    with _locked(out / "state" / "lock"):
        if used:
            _check_same(read_run(out), experiment, out)
        for path in [*out.iterdir(), *(out / "state").iterdir()]:
            if UNFINISHED.fullmatch(path.name):
                path.unlink()
        write_config(experiment, out / "config.toml")
        yield


def _only_begun(out: Path) -> bool:
    """Whether a folder is empty, or holds only what a kill before the first config leaves."""
    left = [path for path in out.iterdir() if not UNFINISHED.fullmatch(path.name)]
    if left == [out / "state"] and left[0].is_dir():
        left = [path for path in left[0].iterdir() if path.name != "lock"]
    return not left


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends.

    A POSIX record lock is not inherited by the workers, which may outlive a killed training for
    some seconds. Systems without such locks go unprotected.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise RunError(
                f"{path.parent.parent}: another training uses this folder (process {owner})"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _check_same(stored: Experiment, wanted: Experiment, out: Path) -> None:
    changes = {}
    before, after = _flat(stored.model_dump()), _flat(wanted.model_dump())
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        moved = isinstance(old, Path) and isinstance(new, Path)  # the data may lie elsewhere now
        section, _, name = key.partition(".")
        free = section == "train" and name not in FIXED_TRAIN_KEYS
        if old != new and not moved and not free:
            changes[key] = f"{key} was {old}, is now {new}"
    if changes:
        raise RunError(
            f"{out}: --resume keeps the model, the data and "
            f"{', '.join(f'train.{key}' for key in sorted(FIXED_TRAIN_KEYS))}, but "
            + "; ".join(list(changes.values())[:3])
        )


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
