from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from pointgen.geometry.assignment import Assignment, assign

RNG = np.random.default_rng(0)
SEEDS = st.integers(0, 2**31 - 1)
FEW = settings(max_examples=40, deadline=None)
BOTH = pytest.mark.parametrize("squared", [False, True])


def costs(a: np.ndarray, b: np.ndarray, squared: bool) -> np.ndarray:
    return cdist(a, b, "sqeuclidean" if squared else "euclidean")


def least(table: np.ndarray) -> float:
    return table[linear_sum_assignment(table)].mean()


@cache
def least_of(name: str, squared: bool) -> float:
    return least(costs(*PAIRS[name], squared))


def sphere(n: int) -> np.ndarray:
    points = RNG.standard_normal((n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def grid(side: int) -> np.ndarray:
    return np.stack(np.meshgrid(*[np.arange(side)] * 3), axis=-1).reshape(-1, 3).astype(float)


def cubes(*places: tuple[int, float]) -> np.ndarray:
    """Cubes of side 1, each of a number of points, along the diagonal."""
    return np.concatenate([RNG.random((n, 3)) + place for n, place in places])


CUBE = RNG.random((300, 3))
FLAT = np.array([1.0, 1.0, 0.0])
PAIRS = {
    "two draws of a cube": (CUBE, RNG.random((300, 3))),
    "sphere and cube": (sphere(400), RNG.random((400, 3))),
    "the same": (CUBE, CUBE),
    "permuted": (CUBE, RNG.permutation(CUBE)),
    "all equal": (np.zeros((200, 3)), np.zeros((200, 3))),
    "all equal, apart": (np.zeros((200, 3)), np.ones((200, 3))),
    "one place against many": (np.zeros((200, 3)), RNG.random((200, 3))),
    "many against one place": (RNG.random((200, 3)), np.zeros((200, 3))),
    "few places": (CUBE[RNG.integers(0, 20, 300)], CUBE[RNG.integers(0, 200, 300)]),
    "grid, half a step": (grid(7), grid(7) + 0.5),
    "grid, three steps": (grid(7), grid(7) + np.array([3, 1, 0])),
    "grid, turned": (grid(7), grid(7)[:, [1, 2, 0]] * [1, -1, 1]),
    "grid, larger": (grid(7), 2 * grid(7)),
    "whole numbers": (np.round(8 * CUBE), np.round(8 * RNG.random((300, 3)))),
    "in a plane": (CUBE * FLAT, RNG.random((300, 3)) * FLAT),
    "in two planes": (CUBE * FLAT, RNG.random((300, 3)) * FLAT + [0, 0, 1]),
    "on a line": (CUBE * [1, 0, 0], RNG.random((300, 3)) * [1, 0, 0]),
    "far apart": (CUBE, RNG.random((300, 3)) + 1e4),
    "far from the origin": (CUBE + 1e6, RNG.random((300, 3)) + 1e6),
    "some have far to go": (cubes((140, 0), (160, 100)), cubes((150, 0), (150, 100))),
    "one has far to go": (cubes((149, 0), (151, 100)), cubes((150, 0), (150, 100))),
    "one outlier": (np.append(CUBE, [[1e4, 0, 0]], 0), RNG.random((301, 3))),
    "huge": (1e6 * CUBE, 1e6 * RNG.random((300, 3))),
    "tiny": (1e-6 * CUBE, 1e-6 * RNG.random((300, 3))),
    "beyond any unit": (1e100 * CUBE, 1e100 * RNG.random((300, 3))),
    "no rows of coarse clouds": (sphere(33), sphere(33)),
}


def check_certificate(found: Assignment, table: np.ndarray) -> None:
    """The matching is one, its cost is its cost, and the potentials prove the bound."""
    n = len(table)
    rounding = 1e-11 * table.max()
    assert sorted(found.assignment) == list(range(n))
    edges = table[np.arange(n), found.assignment]
    assert found.cost == pytest.approx(edges.mean(), rel=1e-12, abs=1e-300)
    assert (found.u[:, None] + found.v <= table + rounding).all()
    assert found.bound == pytest.approx(found.u.mean() + found.v.mean(), rel=1e-9, abs=rounding)
    assert found.bound <= found.cost


def check_optimal(found: Assignment, table: np.ndarray) -> None:
    """As check_certificate; besides the bound is met and the matched edges are tight."""
    rounding = 1e-11 * table.max()
    check_certificate(found, table)
    assert found.exact
    assert found.cost == pytest.approx(found.bound, rel=1e-9, abs=rounding)
    edges = table[np.arange(len(table)), found.assignment]
    # One edge has all the slack of the whole sum at most.
    assert np.abs(edges - found.u - found.v[found.assignment]).max() <= len(table) * rounding


@BOTH
@pytest.mark.parametrize("name", PAIRS)
def test_equals_scipy(name, squared):
    a, b = PAIRS[name]
    table = costs(a, b, squared)
    found = assign(a, b, squared=squared)
    check_optimal(found, table)
    assert found.cost == pytest.approx(least_of(name, squared), rel=1e-9, abs=1e-12 * table.max())


@BOTH
@FEW
@given(SEEDS, st.integers(1, 60), st.sampled_from([1.0, 0.2, 0.0]), st.sampled_from([None, 3]))
def test_equals_scipy_on_small_clouds(squared, seed, n, width, decimals):
    rng = np.random.default_rng(seed)
    shape = np.array([1.0, 1.0, width])
    a, b = rng.random((n, 3)) * shape, rng.random((n, 3)) * shape + rng.random(3)
    if decimals is not None:
        a, b = np.round(a * decimals), np.round(b * decimals)  # many ties, many duplicates
    table = costs(a, b, squared)
    found = assign(a, b, squared=squared)
    check_optimal(found, table)
    assert found.cost == pytest.approx(least(table), rel=1e-9, abs=1e-12)


@BOTH
def test_known_answers(squared):
    a = np.array([[0.0, 0, 0], [1, 0, 0], [5, 0, 0]])
    found = assign(a, a[[2, 0, 1]] + [0, 3, 0], squared=squared)
    assert found.assignment.tolist() == [1, 2, 0]
    assert found.cost == (9 if squared else 3)
    one = assign(a[:1], a[2:], squared=squared)
    assert one.assignment.tolist() == [0] and one.exact
    assert one.cost == one.bound == (25 if squared else 5)


def test_the_cheapest_by_distance_is_not_the_cheapest_by_its_square():
    """A long step and none are shorter than two short steps, but not in their squares."""
    a, b = np.array([[0.0, 0, 0], [1.0, 0, 0]]), np.array([[1.0, 0, 0], [1.9, 0.5, 0]])
    assert assign(a, b).assignment.tolist() == [1, 0]
    assert assign(a, b, squared=True).assignment.tolist() == [0, 1]


@BOTH
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 0.97, 0.999, 1 - 1e-7, 1 + 1e-7, 2.0])
@pytest.mark.parametrize("name", ["sphere and cube", "two draws of a cube", "grid, three steps"])
def test_stops_only_above(name, share, squared):
    a, b = PAIRS[name]
    table, best = costs(a, b, squared), least_of(name, squared)
    found = assign(a, b, squared=squared, stop_above=share * best)
    if found.exact:
        check_optimal(found, table)
        assert found.cost == pytest.approx(best, rel=1e-9)
    else:
        check_certificate(found, table)
        assert share * best < found.bound <= best * (1 + 1e-9)
    assert found.exact or share < 1


def test_stops_early():
    """The coarse clouds alone prove most of the cost where the shapes differ."""
    a, b = PAIRS["sphere and cube"]
    best = assign(a, b).cost
    stopped = assign(a, b, stop_above=0.8 * best)
    assert not stopped.exact
    assert stopped.bound > 0.8 * best


def test_threads_do_not_disturb_each_other():
    pairs = [(CUBE, RNG.random((300, 3))) for _ in range(12)]
    alone = [assign(*pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: assign(*pair), pairs))
    for x, y in zip(alone, together, strict=True):
        assert np.array_equal(x.assignment, y.assignment)
        assert np.array_equal(x.u, y.u) and np.array_equal(x.v, y.v)


def test_single_precision_input_is_solved_in_double():
    a, b = CUBE.astype(np.float32), RNG.random((300, 3)).astype(np.float32)
    table = costs(a.astype(np.float64), b.astype(np.float64), squared=False)
    check_optimal(assign(a, b), table)
