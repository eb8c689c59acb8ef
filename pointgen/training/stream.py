"""What a training step sees and which noise it draws, as pure functions of (seed, step, process).

No random state is carried from one step to the next. The data are an endless row of positions:
position p is shape `permutation(epoch)[p % length]` of epoch `p // length`, drawn by a generator
that is seeded by p; step s takes positions [s * batch_size, (s + 1) * batch_size), and each
process its equal share of them. The noise of a step comes from the global random state, seeded
anew by `mix(seed, Use.NOISE, step, process)` before the step. A training that continues at step s
hence repeats exactly what it would have done uninterrupted, for any number of workers and without
any saved random state.

A loss without noise falls alike in any number of processes. With noise each number gives another,
equally good draw of it: for the same one, models would have to cut their shares out of the noise of
the whole batch, instead of simply drawing what they need.
"""

from __future__ import annotations

import signal
import zlib
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Protocol

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from pointgen.batch import Batch, Item, collate
from pointgen.devices import cores

__all__ = ["Drawable", "Draws", "Shares", "Use", "batches", "mark", "mix", "share_size"]


class Use(IntEnum):
    """What a random number is for: separates the streams that share one seed."""

    ORDER = 0
    DRAW = 1
    NOISE = 2
    WEIGHTS = 3
    VALIDATION = 4
    PREVIEW = 5
    SAMPLE = 6


class Drawable(Protocol):
    """The part of a data set that a stream needs."""

    @property
    def ids(self) -> Sequence[str]:
        """Names of the shapes."""

    def __len__(self) -> int:
        """Return the number of shapes."""

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        """Draw points of the shape `index`."""


def mix(seed: int, use: Use, *numbers: int) -> int:
    """Return a seed for one use of randomness; different numbers give unrelated seeds."""
    return int(np.random.SeedSequence((seed, use, *numbers)).generate_state(1, np.uint64)[0])


def mark(shapes: Drawable) -> str:
    """Return what tells this data set from another: the number of its shapes, a CRC of the ids."""
    checksum = zlib.crc32("\0".join(shapes.ids).encode())
    return f"{len(shapes)} shapes (checksum of their names {checksum:08x})"


def share_size(batch_size: int, processes: int) -> int:
    """Return how many shapes of a step each process takes.

    Raises:
        ValueError: It is not a whole number, or the step has less than two.
    """
    if batch_size % processes:
        raise ValueError(
            f"train.batch_size: expected a multiple of the {processes} processes, got {batch_size}"
        )
    if batch_size < 2:  # a single shape has no variance for a batch norm
        raise ValueError(f"train.batch_size: expected at least 2 shapes, got {batch_size}")
    return batch_size // processes


class Draws(Dataset[Item]):
    """A data set over positions 0, 1, ... without end: shuffled epochs, one after the other."""

    def __init__(self, dataset: Drawable, seed: int) -> None:
        self._dataset = dataset
        self._seed = seed
        self._order = (-1, np.empty(0, dtype=np.int64))  # of the epoch asked for last

    def __getitem__(self, position: int) -> Item:
        """Return the shape at a position, drawn as that position always draws it."""
        epoch, place = divmod(position, len(self._dataset))
        rng = np.random.default_rng((self._seed, Use.DRAW, position))
        return self._dataset.draw(int(self._permutation(epoch)[place]), rng)

    def _permutation(self, epoch: int) -> np.ndarray:
        if self._order[0] != epoch:
            rng = np.random.default_rng((self._seed, Use.ORDER, epoch))
            self._order = (epoch, rng.permutation(len(self._dataset)))
        return self._order[1]


class Shares(Sampler[list[int]]):
    """The positions that one process takes at each of the steps [first, last)."""

    def __init__(
        self, first: int, last: int, batch_size: int, *, process: int = 0, processes: int = 1
    ) -> None:
        self._steps = range(first, last)
        self._batch_size = batch_size
        self._share = share_size(batch_size, processes)
        self._offset = process * self._share

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self._steps)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the positions of one step after the other."""
        for step in self._steps:
            start = step * self._batch_size + self._offset
            yield list(range(start, start + self._share))


def batches(
    draws: Dataset[Item], shares: Sampler[list[int]], *, workers: int, pin_memory: bool
) -> Iterator[Batch]:
    """Yield the batch of each share, prepared ahead by `workers` processes (0: in this one).

    There are never more workers than cores: torch warns of it, and it only costs memory.
    """
    loader = DataLoader(
        draws,
        batch_sampler=shares,
        num_workers=min(workers, cores()),
        collate_fn=collate,
        pin_memory=pin_memory,
        worker_init_fn=_leave_signals_to_the_training,
    )
    return iter(loader)


def _leave_signals_to_the_training(worker: int) -> None:
    """Let a worker live on when Ctrl-C or a batch system signals the whole group of processes.

    The training finishes its step before it stops, and may need a batch for that. A worker ends
    by itself when the training is gone.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
