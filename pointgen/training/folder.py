"""The folder of a run: who may train into it, and with which config."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pointgen.config import Experiment, write_config
from pointgen.files.lock import locked
from pointgen.training.checkpoint import RunError, read_run
from pointgen.training.state import has_state

__all__ = ["check_folder", "claimed"]

# A run may be made longer, log more often, or use another number of workers; but these decide
# what the steps before mean for the steps after.
FIXED_TRAIN_KEYS = frozenset({"seed", "batch_size", "ema"})
# A kill while saving leaves a file under the temporary name that `pointgen.files.atomic` gave it.
UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.(toml|safetensors|csv|html|json)")
# What a start that failed may leave. Events of TensorBoard hold no more than log.csv does.
BEGUN = frozenset({"config.toml", "state", "samples", "tensorboard"})
EVENTS = "events.out.tfevents."


def check_folder(out: Path, experiment: Experiment, *, resume: bool) -> None:
    """Refuse a folder that a training cannot use, without writing anything.

    Raises:
        RunError: The folder holds something else, or nothing to resume from, or it was begun with
            another config.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: expected a folder, got a file")
    if not out.exists() or _only_begun(out):
        return
    if not resume:
        raise RunError(f"{out}: exists; continue it with --resume, or choose another --out")
    if not (out / "config.toml").exists():
        raise RunError(f"{out}: cannot be resumed, it is not a run (there is no config.toml)")
    # Weights are saved after their state, so without one they are of another origin: to start
    # over would overwrite them. A log alone is of a training that was killed before its first save.
    if (out / "model.safetensors").exists() and not has_state(out / "state"):
        raise RunError(
            f"{out}: cannot be resumed: model.safetensors is there but state/ holds nothing to "
            "resume from; choose another --out"
        )
    _check_same(read_run(out), experiment, out)


@contextmanager
def claimed(out: Path, experiment: Experiment, *, resume: bool) -> Iterator[None]:
    """Hold the folder of a run for one training, with its config in it.

    Raises:
        RunError: See `check_folder`; or another training uses the folder.
    """
    check_folder(out, experiment, resume=resume)
    (out / "state").mkdir(parents=True, exist_ok=True)

    def taken(owner: str) -> RunError:
        return RunError(f"{out}: another training uses this folder (process {owner})")

    with locked(out / "state" / "lock", taken):
        for path in [*out.iterdir(), *(out / "state").iterdir()]:
            if UNFINISHED.fullmatch(path.name):
                path.unlink()
        write_config(experiment, out / "config.toml")
        yield


def _only_begun(out: Path) -> bool:
    """Whether a folder is empty, or holds only what a start that failed leaves."""
    left = _names(out)
    if not left:
        return True
    if not left <= BEGUN or not (out / "state").is_dir():  # a lone config is a person's own
        return False
    lost = {name for name in _names(out / "tensorboard") if not name.startswith(EVENTS)}
    return not lost | _names(out / "samples") | _names(out / "state") - {"lock"}


def _names(folder: Path) -> set[str]:
    """Return the names in a folder, which may be missing, without unfinished saves."""
    if not folder.exists():
        return set()
    if not folder.is_dir():
        return {folder.name}
    return {path.name for path in folder.iterdir() if not UNFINISHED.fullmatch(path.name)}


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
