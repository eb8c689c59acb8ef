import numpy as np
import pytest
from scipy.spatial.distance import cdist

from pointgen.geometry.assignment_candidates import (
    CHUNK,
    Candidates,
    best_two,
    certify,
    envelope,
    gather,
    row_minima,
)

COUNT, SIZE = 100, 12  # the last chunk is not full
BOTH = pytest.mark.parametrize("squared", [False, True])


def make(squared: bool) -> tuple[Candidates, np.ndarray, np.ndarray]:
    """Lists of points in no order, which costs time only; v, padded; and c (N, N)."""
    rng = np.random.default_rng(0)
    rows, columns = rng.random((2, 3, COUNT))
    padded = np.full((3, COUNT + -COUNT % CHUNK), np.inf)
    padded[:, :COUNT] = columns
    v = np.zeros(padded.shape[1])
    v[:COUNT] = 0.3 * rng.random(COUNT)
    table = cdist(rows.T, columns.T, "sqeuclidean" if squared else "euclidean")
    return gather(rows, padded, v, squared, SIZE, 1e-14), v, table


@BOTH
def test_lists_hold_the_best(squared):
    candidates, v, table = make(squared)
    reduced = table - v[:COUNT]
    order = reduced.argsort(axis=1)
    assert np.array_equal(candidates.listed, order[:, :SIZE])
    assert np.allclose(candidates.cost, np.take_along_axis(table, order[:, :SIZE], axis=1))
    next_best = np.take_along_axis(reduced, order[:, SIZE : SIZE + 1], axis=1)[:, 0]
    assert np.allclose(candidates.threshold, next_best)


@BOTH
def test_best_of_a_row_while_v_falls(squared):
    """The lists are never made anew from outside; the answers are right all the same."""
    candidates, v, table = make(squared)
    rng = np.random.default_rng(1)
    u = np.zeros(COUNT)
    for _ in range(300):
        v[rng.integers(COUNT)] -= 0.2 * rng.random()
        reduced = table - v[:COUNT]
        i = rng.integers(COUNT)
        first, second, column = best_two(candidates, i, v)
        least = np.sort(reduced[i])
        assert column == reduced[i].argmin()
        assert first == pytest.approx(least[0], abs=1e-14)
        assert first - 1e-14 <= second <= least[1] + 1e-14
        assert row_minima(candidates, u, v) == pytest.approx(u.sum() + v.sum())
        assert (u <= reduced.min(axis=1) + 1e-14).all()


@BOTH
def test_certify_finds_any_pair_that_proves_u_too_high(squared):
    candidates, v, table = make(squared)
    least = (table - v[:COUNT]).min(axis=1)
    low, high = least - 0.1, least + 0.1
    u = np.where(np.arange(COUNT) % 2 == 0, low, high)
    certify(candidates, u, v)
    assert np.allclose(u, np.where(np.arange(COUNT) % 2 == 0, low, least))


@BOTH
def test_envelope_is_the_greatest_v_that_potentials_allow(squared):
    candidates, _, table = make(squared)
    u = np.random.default_rng(2).random(COUNT)
    v = envelope(candidates.rows, u, candidates.columns, squared)
    assert np.allclose(v[:COUNT], (table - u[:, None]).min(axis=0))
    assert (v[COUNT:] == 0).all()
    assert (envelope(np.zeros((3, 0)), np.zeros(0), candidates.columns, squared) == 0).all()
