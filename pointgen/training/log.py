"""Running means of a training, and the rows they become in log.csv and TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from pointgen.files import atomic
from pointgen.training.checkpoint import RunError

if TYPE_CHECKING:
    from pointgen.training.look import Seen

__all__ = ["Clock", "Log", "Meter", "TrainingError", "history", "last_row"]

# What TensorBoard gets of each kind at a preview, about 130 kB: clouds, the points of each, and
# how many times the pictures are smaller than in samples/.
BOARD_CLOUDS, BOARD_POINTS, BOARD_SHRINK = 2, 1024, 2
_T = TypeVar("_T")


class TrainingError(RuntimeError):
    """A training that cannot go on; the last state it saved is intact."""


class Meter:
    """Means of scalars over steps, kept on the device: adding a step never waits for the GPU.

    Numbers that must be finite are watched at every step, but looked at only in `means`; the loop
    calls it before it saves anything.
    """

    def __init__(self, device: torch.device, state: Mapping[str, object] | None = None) -> None:
        """Start empty, or where the meter stood that gave `state`."""
        self._device = device
        self._names: tuple[str, ...] = tuple(state["names"]) if state else ()  # type: ignore[arg-type]
        self._sums = torch.tensor(state["sums"] if state else [], dtype=torch.float64).to(device)
        self._count = int(state["count"]) if state else 0  # type: ignore[call-overload]
        self._bad_step = torch.tensor([torch.inf], dtype=torch.float64, device=device)

    def add(self, step: int, values: Mapping[str, Tensor], *, finite: tuple[str, ...]) -> None:
        """Add the scalars of a step; those named by `finite` must be finite."""
        names = tuple(values)
        stacked = torch.stack([v.detach().to(self._device, torch.float64) for v in values.values()])
        if self._count == 0:
            self._names, self._sums = names, torch.zeros_like(stacked)
        if names != self._names:
            raise ValueError(f"loss terms: expected {self._names} as before, got {names}")
        self._sums += stacked
        self._count += 1
        watched = torch.stack([stacked[names.index(name)] for name in finite])
        seen = torch.where(watched.isfinite().all(), torch.inf, float(step))
        self._bad_step = torch.minimum(self._bad_step, seen)

    def means(self, gather: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return the means since `reset` over steps and processes; each goes on from all sums.

        Args:
            gather: joins one row of numbers from each process to (processes, numbers).

        Raises:
            TrainingError: A number that must be finite was not.
        """
        rows = gather(torch.cat([self._bad_step, self._sums])[None])
        self._sums = rows[:, 1:].mean(0)  # which the state of any process then holds
        bad_step, sums = rows[:, 0].min().item(), self._sums.tolist()
        if bad_step < torch.inf:
            broken = [n for n, s in zip(self._names, sums, strict=True) if not abs(s) < torch.inf]
            raise TrainingError(f"step {bad_step:.0f}: not finite: {', '.join(broken)}")
        return {n: s / self._count for n, s in zip(self._names, sums, strict=True)}

    def reset(self) -> None:
        """Forget what was added."""
        self._count = 0

    def state(self) -> dict[str, object]:
        """Return what a new meter needs to go on from here, as JSON can hold it exactly."""
        if self._count == 0:
            return {}
        return {"names": self._names, "sums": self._sums.tolist(), "count": self._count}


class Clock:
    """Where the time of a training goes, in seconds."""

    def __init__(self, spent: float) -> None:
        """Start; `spent` seconds were trained before."""
        self._lap = perf_counter()
        self._start = self._lap - spent
        self._paused = self._waited = 0.0
        self._points = 0

    def count(self, points: int) -> None:
        """Note points that were trained on."""
        self._points += points

    def lap(self) -> dict[str, float]:
        """Return what a log shows of the time since the last call, pauses left out; start anew."""
        now = perf_counter()
        length = now - self._lap - self._paused
        times = {
            "points_per_second": self._points / length,
            "seconds": now - self._start,
            "wait": self._waited / length,
        }
        self._lap, self._paused, self._waited, self._points = now, 0.0, 0.0, 0
        return times

    def total(self) -> float:
        """Return the time spent on the whole training."""
        return perf_counter() - self._start

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what happens inside out of the lap."""
        start = perf_counter()
        yield
        self._paused += perf_counter() - start

    def waiting(self, batches: Iterable[_T]) -> Iterator[_T]:
        """Pass batches on, and count the time until each is there as waiting."""
        iterator = iter(batches)
        while True:
            start = perf_counter()
            batch = next(iterator, None)
            self._waited += perf_counter() - start
            if batch is None:
                return
            yield batch


class Log:
    """The files log.csv, one row for each time of logging, and tensorboard/."""

    def __init__(self, folder: Path, step: int) -> None:
        """Continue the log of a run after `step`; later rows are dropped.

        Raises:
            RunError: What is there is not a log.
        """
        from torch.utils.tensorboard import SummaryWriter

        self._path = folder / "log.csv"
        self._columns = _keep_rows(self._path, step)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, row: Mapping[str, float | None]) -> None:
        """Add a row; it needs a `step`. The first row decides the columns."""
        first = not self._columns
        self._columns = self._columns or list(row)
        if missing := row.keys() - set(self._columns):
            raise TrainingError(f"{self._path}: has no column for {', '.join(sorted(missing))}")
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns)
            if first:
                writer.writeheader()
            writer.writerow({name: "" if v is None else v for name, v in row.items()})
        for name, value in row.items():
            if value is not None and name != "step":
                self._board.add_scalar(name, value, row["step"])

    def show(self, step: int, parts: Mapping[str, Seen]) -> None:
        """Give TensorBoard the pictures of a preview, and some of its clouds to turn."""
        for title, seen in parts.items():
            picture = np.asarray(seen.picture.reduce(BOARD_SHRINK))
            self._board.add_image(title, picture, step, dataformats="HWC")
            if len(seen.clouds):
                every = -(-seen.clouds.shape[1] // BOARD_POINTS)
                clouds = seen.clouds[:BOARD_CLOUDS, ::every].float()
                self._board.add_mesh(
                    f"{title}, to turn",
                    clouds,
                    colors=torch.stack([_colours(cloud) for cloud in clouds]),
                    config_dict=_size(clouds),
                    global_step=step,
                )
        self._board.flush()

    def close(self) -> None:
        """Write what is still in memory."""
        self._board.close()


def history(path: Path) -> dict[str, np.ndarray]:
    """Return the columns of a log.csv as numbers, NaN where there is none; nothing if no file.

    A last row that a kill cut short is left out.

    Raises:
        RunError: What is there is not a log.
    """
    columns, *rows = (_rows(path) if path.exists() else []) or [[]]
    try:
        whole = [[float(v or "nan") for v in row] for row in rows if len(row) == len(columns)]
    except ValueError as error:
        raise RunError(f"{path}: not the log of a training ({error})") from error
    values = np.array(whole, dtype=float).reshape(len(whole), len(columns))
    return dict(zip(columns, values.T, strict=True))


def last_row(columns: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the finite numbers of the last row of a log's columns."""
    row = {name: float(values[-1]) for name, values in columns.items() if len(values)}
    return {name: value for name, value in row.items() if np.isfinite(value)}


def _colours(cloud: Tensor) -> Tensor:
    """Return the colours (N, 3) that a cloud (N, 3) has in pictures, 0 to 255."""
    from pointgen.view.palette import colour

    return torch.from_numpy((255 * colour(cloud.numpy(), "position")).astype(np.uint8))


def _size(clouds: Tensor) -> dict[str, object]:
    """Return how TensorBoard draws clouds: points as large as suits their extent."""
    side = (clouds.amax((0, 1)) - clouds.amin((0, 1))).max().item()
    return {"material": {"cls": "PointsMaterial", "size": 0.015 * side}}


def _keep_rows(path: Path, step: int) -> list[str]:
    """Drop the rows after `step`, and one cut short; return the columns."""
    if not path.exists():
        return []
    columns, *rows = _rows(path) or [[]]
    kept = [r for r in rows if len(r) == len(columns) and r[0].isdecimal() and int(r[0]) <= step]
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *kept] if kept else [])
    return columns if kept else []


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (csv.Error, UnicodeDecodeError) as error:
        raise RunError(f"{path}: not the log of a training ({error})") from error
    if rows and rows[0][:1] != ["step"]:
        start = ",".join(rows[0])[:40]
        raise RunError(f"{path}: not the log of a training (it starts with {start!r}, not step)")
    return rows
