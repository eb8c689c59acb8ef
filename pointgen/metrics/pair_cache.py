"""What is known of the distances between shapes: values, or bounds, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["ABANDONED", "BOUNDED", "SOLVED", "Block", "PairCache"]

# How far a pair has come; zero is the beginning.
BOUNDED = 1  # has its best cheap bound
ABANDONED = 2  # the solver began, and stopped early
SOLVED = 3


@dataclass(frozen=True, eq=False)
class Block:
    """All pairs of two sets, or of one with itself: then the tables are symmetric."""

    values: np.ndarray
    """(S, R) float64: distances, NaN where the pair is not solved."""

    bounds: np.ndarray
    """(S, R) float64: lower bounds of the distances."""

    progress: np.ndarray
    """(S, R) int8: how far each pair has come."""


class PairCache:
    """Blocks by the names of their sets.

    A name stands for one set of clouds in one order, and for one distance: whoever keeps a cache
    for later has to know that they are still the same. With a cache, sets that were compared
    before are not compared again, and interrupted work goes on where it was.
    """

    def __init__(self) -> None:
        self._blocks: dict[str, Block] = {}

    def block(self, first: str, second: str, shape: tuple[int, int]) -> Block:
        """Return the block of two sets, at first with nothing known.

        Args:
            first: Name of the set of the rows.
            second: Name of the set of the columns.
            shape: How many shapes either has.

        Raises:
            ValueError: The cache has them with another number of shapes.
        """
        key = f"{first}/{second}"
        if key not in self._blocks:
            self._blocks[key] = Block(
                np.full(shape, np.nan), np.zeros(shape), np.zeros(shape, np.int8)
            )
        known = self._blocks[key].values.shape
        if known != shape:
            raise ValueError(f"cache: expected {known} shapes of {key}, got {shape}")
        return self._blocks[key]

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of all that is known, by name."""
        return {
            f"{key}/{field}": table.copy()
            for key, block in self._blocks.items()
            for field, table in vars(block).items()
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Replace all that is known by what `state` returned."""
        keys = dict.fromkeys(name.rsplit("/", 1)[0] for name in state)
        self._blocks = {
            key: Block(
                *(state[f"{key}/{field}"].copy() for field in ("values", "bounds", "progress"))
            )
            for key in keys
        }
