"""The assignment problem on lists of candidates: auction, row reduction and shortest paths.

All three keep u[i] + v[j] <= c(i, j) for all pairs, the unlisted ones included, and only lower v.
`row_of` and `column_of`, (N,), hold a matching, with -1 where there is no partner.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from pointgen.geometry.assignment_candidates import (
    CHUNK,
    Candidates,
    best_two,
    chunk_values,
    refresh,
    row_minima,
    total,
)

__all__ = ["auction", "augment", "reduce_rows"]

CHAIN = 10  # rows that may push each other out in turn before another row gets its chance


def auction(
    candidates: Candidates, v: np.ndarray, increment: float, bids: int, stop_above: float
) -> None:
    """Lower v until a matching exists whose edges are within `increment` of the best of their rows.

    Source: Bertsekas 1988, "The auction algorithm"; forward, one bidder at a time.

    Args:
        candidates: Lists of candidates.
        v: (M,) potentials of the columns, changed in place.
        increment: By how much a bidder goes beyond indifference, in units of cost; above 0.
        bids: Give up after so many: v is a start for other solvers all the same.
        stop_above: Give up once a total cost above this is proven.
    """
    n = candidates.rows.shape[1]
    row_of, queue = np.full(n, -1), np.arange(n)
    _auction(candidates, np.zeros(n), v, row_of, queue, increment, bids, stop_above)


@njit(nogil=True, cache=True)
def _auction(
    candidates: Candidates,
    u: np.ndarray,
    v: np.ndarray,
    row_of: np.ndarray,
    queue: np.ndarray,
    increment: float,
    bids: int,
    stop_above: float,
) -> None:
    n = len(u)
    head, waiting = 0, n
    for bid in range(bids):
        if waiting == 0 or (bid % n == n - 1 and row_minima(candidates, u, v) > stop_above):
            break
        i = queue[head]
        head = (head + 1) % n
        waiting -= 1
        first, second, j = best_two(candidates, i, v)
        # An unlisted column may be the second best: then the bid is lower than it could be.
        v[j] -= second - first + increment
        if row_of[j] >= 0:
            queue[(head + waiting) % n] = row_of[j]
            waiting += 1
        row_of[j] = i


def reduce_rows(
    candidates: Candidates,
    u: np.ndarray,
    v: np.ndarray,
    row_of: np.ndarray,
    column_of: np.ndarray,
    sweeps: int,
) -> None:
    """Match most rows by edges with u[i] + v[j] = c(i, j): an auction without increment.

    Source: Jonker and Volgenant 1987, "augmenting row reduction".

    Args:
        candidates: Lists of candidates.
        u: (N,) potentials of the rows, overwritten.
        v: (M,) potentials of the columns, changed in place.
        row_of: (N,) changed in place; -1 everywhere at first.
        column_of: (N,) changed in place; -1 everywhere at first.
        sweeps: How often the rows without a partner are tried.
    """
    free = np.arange(len(u))
    for _ in range(sweeps):
        free = free[: _sweep(candidates, u, v, row_of, column_of, free)]
    row_minima(candidates, u, v)


@njit(nogil=True, cache=True)
def _sweep(
    candidates: Candidates,
    u: np.ndarray,
    v: np.ndarray,
    row_of: np.ndarray,
    column_of: np.ndarray,
    free: np.ndarray,
) -> int:
    """Try each free row once and return how many rows are free then; they lead in `free`."""
    left = 0
    for k in range(len(free)):
        i = free[k]
        for _ in range(CHAIN):
            first, second, j = best_two(candidates, i, v)
            rival = row_of[j]
            if rival >= 0 and second <= first:
                break  # a tie: to bid would only change who is without a partner
            v[j] -= second - first
            row_of[j], column_of[i] = i, j
            i = rival
            if i < 0:
                break
            column_of[i] = -1
        if i >= 0:
            free[left] = i
            left += 1
    return left


class _Heap(NamedTuple):
    """A binary heap of the nodes that wait to be settled, the one of the least key first."""

    nodes: np.ndarray  # (2N,)
    keys: np.ndarray  # (2N,) of each node
    places: np.ndarray  # (2N,) of each node among the nodes, -1 outside
    size: np.ndarray  # (1,)


class _Forest(NamedTuple):
    """Shortest paths from one row, by Dijkstra's algorithm.

    Nodes are columns, 0..N-1, with their distance as key, and rows, N..2N-1, with the distance from
    which on their unlisted columns may count.
    """

    heap: _Heap
    distances: np.ndarray  # (N,) of the columns, infinite where not reached
    parents: np.ndarray  # (N,) the row before each column
    heights: np.ndarray  # (N,) distances of the rows
    settled: np.ndarray  # (N,) the columns nearer than the end, in order
    end: np.ndarray  # (1,) the nearest column without a partner


def augment(
    candidates: Candidates,
    u: np.ndarray,
    v: np.ndarray,
    row_of: np.ndarray,
    column_of: np.ndarray,
    stop_above: float,
) -> None:
    """Complete the matching along shortest paths, one free row after the other.

    Source: Jonker and Volgenant 1987, "augmentation".

    Args:
        candidates: Lists of candidates.
        u: (N,) potentials of the rows, changed in place; u[i] + v[j] = c(i, j) where matched.
        v: (M,) potentials of the columns, changed in place.
        row_of: (N,) changed in place.
        column_of: (N,) changed in place.
        stop_above: Give up once a total cost above this is proven.
    """
    n = len(u)
    whole = np.int64
    heap = _Heap(
        np.zeros(2 * n, whole), np.zeros(2 * n), np.zeros(2 * n, whole), np.zeros(1, whole)
    )
    forest = _Forest(
        heap=heap,
        distances=np.zeros(n),
        parents=np.zeros(n, whole),
        heights=np.zeros(n),
        settled=np.zeros(n, whole),
        end=np.zeros(1, whole),
    )
    _augment(candidates, u, v, row_of, column_of, forest, stop_above)


@njit(nogil=True, cache=True)
def _augment(
    candidates: Candidates,
    u: np.ndarray,
    v: np.ndarray,
    row_of: np.ndarray,
    column_of: np.ndarray,
    forest: _Forest,
    stop_above: float,
) -> None:
    proven = total(u, v)
    for start in range(len(u)):
        if column_of[start] >= 0:
            continue
        if proven > stop_above:
            break
        length, count = _shortest(candidates, forest, start, u, v, row_of)
        proven += length
        u[start] += length
        for k in range(count):
            j = forest.settled[k]
            u[row_of[j]] += length - forest.distances[j]
            v[j] -= length - forest.distances[j]
        i, j = -1, forest.end[0]
        while i != start:
            i = forest.parents[j]
            row_of[j] = i
            j, column_of[i] = column_of[i], j


@njit(nogil=True, cache=True)
def _shortest(
    candidates: Candidates,
    forest: _Forest,
    start: int,
    u: np.ndarray,
    v: np.ndarray,
    row_of: np.ndarray,
) -> tuple[float, int]:
    """Overwrite the forest by that of a free row, up to the nearest free column.

    Returns:
        The length of the path to that column, and how many columns are settled.
    """
    n, listed = len(u), candidates.listed.shape[1]
    heap, values = forest.heap, candidates.listed_values
    for j in range(n):
        forest.distances[j] = np.inf
    for node in range(2 * n):
        heap.places[node] = -1
    heap.size[0] = 0
    length, count = np.inf, 0
    i, height = start, 0.0
    while True:
        forest.heights[i] = height
        for k in range(listed):
            values[k] = candidates.cost[i, k] - v[candidates.listed[i, k]]
        base = height - u[i]
        length = _relax(forest, i, candidates.listed[i], values, base, height, length, row_of)
        beyond = height + max(0.0, candidates.threshold[i] - u[i])
        if beyond < length:
            _insert(heap, n + i, beyond)
        while True:
            node = heap.nodes[0]
            if heap.size[0] == 0 or heap.keys[node] >= length:
                return length, count
            height = heap.keys[node]
            _take_first(heap)
            if node < n:
                break
            length = _look_everywhere(candidates, forest, node - n, u, v, height, length, row_of)
        forest.settled[count] = node
        count += 1
        i = row_of[node]


@njit(nogil=True, cache=True)
def _look_everywhere(
    candidates: Candidates,
    forest: _Forest,
    i: int,
    u: np.ndarray,
    v: np.ndarray,
    least: float,
    length: float,
    row_of: np.ndarray,
) -> float:
    """Extend the paths from row i to all columns; the unlisted ones are at `least` or farther."""
    refresh(candidates, i, i, v)
    columns, values, squared = candidates.columns, candidates.values, candidates.squared
    x, y, z = candidates.rows[0, i], candidates.rows[1, i], candidates.rows[2, i]
    base = forest.heights[i] - u[i]
    for chunk in range(len(candidates.nearest)):
        if base + candidates.nearest[chunk] >= length:
            continue
        start = chunk * CHUNK
        lowest, _ = chunk_values(x, y, z, columns, v, start, squared, values)
        if base + lowest < length:
            chosen = candidates.numbers[start : start + CHUNK]
            length = _relax(forest, i, chosen, values, base, least, length, row_of)
    return length


@njit(nogil=True, inline="always")
def _relax(
    forest: _Forest,
    i: int,
    columns: np.ndarray,
    values: np.ndarray,
    base: float,
    least: float,
    length: float,
    row_of: np.ndarray,
) -> float:
    """Extend the paths from row i to some columns, at distance base + values or `least`.

    Returns:
        The distance of the nearest free column reached so far.
    """
    # Distances never fall below those of settled nodes, not even by rounding: so a settled column
    # stays settled.
    for k in range(len(columns)):
        j = columns[k]
        distance = max(least, base + values[k])
        if distance >= length or distance >= forest.distances[j]:
            continue
        forest.distances[j] = distance
        forest.parents[j] = i
        if row_of[j] >= 0:
            _insert(forest.heap, j, distance)
        else:
            length = distance
            forest.end[0] = j
    return length


@njit(nogil=True, inline="always")
def _insert(heap: _Heap, node: int, key: float) -> None:
    """Put a node into the heap, or raise it there to a lesser key."""
    nodes, keys, places = heap.nodes, heap.keys, heap.places
    place = places[node]
    if place < 0:
        place = heap.size[0]
        heap.size[0] += 1
    while place > 0:
        above = nodes[(place - 1) // 2]
        if keys[above] <= key:
            break
        nodes[place], places[above] = above, place
        place = (place - 1) // 2
    nodes[place], places[node], keys[node] = node, place, key


@njit(nogil=True, cache=True)
def _take_first(heap: _Heap) -> None:
    """Remove the node of the least key from the heap."""
    nodes, keys, places = heap.nodes, heap.keys, heap.places
    places[nodes[0]] = -1
    heap.size[0] -= 1
    size = heap.size[0]
    node, place = nodes[size], 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and keys[nodes[child + 1]] < keys[nodes[child]]:
            child += 1
        if keys[nodes[child]] >= keys[node]:
            break
        nodes[place] = nodes[child]
        places[nodes[place]] = place
        place = child
    if size > 0:
        nodes[place], places[node] = node, place
