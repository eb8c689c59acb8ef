import io
import threading
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from pointgen.metrics.lazy import exact_neighbours
from pointgen.metrics.neighbours import Neighbours
from pointgen.metrics.pair_cache import PairCache

ANSWERS = ("minima", "nearest_sample", "sample_minima", "nearest_reference", "votes")
COUNTS = ("pairs", "solved", "stopped_early")


@dataclass
class Solution:
    cost: float
    bound: float
    exact: bool


@dataclass
class Solver:
    """An exact solver that counts, gives up when it is allowed to, and then says no more."""

    calls: list[float] = field(default_factory=list)

    def __call__(self, a, b, /, *, squared, stop_above):
        costs = cdist(a, b, "sqeuclidean" if squared else "euclidean")
        cost = float(costs[linear_sum_assignment(costs)].mean())
        self.calls.append(cost)
        exact = cost <= stop_above
        return Solution(cost if exact else np.nan, cost if exact else 0.0, exact)


def tables(samples, references, squared=False):
    union = torch.cat([samples, references]).double().numpy()
    table = torch.zeros(len(union), len(union), dtype=torch.float64)
    for i, j in combinations(range(len(union)), 2):
        found = Solver()(union[i], union[j], squared=squared, stop_above=np.inf)
        table[i, j] = table[j, i] = found.cost
    s = len(samples)
    return table[:s, :s], table[:s, s:], table[s:, s:]


def assert_same(lazy, brute):
    for name in ANSWERS:
        found, expected = getattr(lazy, name), getattr(brute, name)
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected), name


def assert_decides_the_vote(lazy, ss, sr, rr):
    """The other shape that is named is of the winning set, and nearer than all of the losing."""
    union = torch.cat([torch.cat([ss, sr], dim=1), torch.cat([sr.mT, rr], dim=1)])
    itself = torch.arange(len(union))
    is_sample = itself < len(ss)
    for shape, other in enumerate(lazy.nearest_other.tolist()):
        assert other != shape
        losing = (is_sample != is_sample[other]) & (itself != shape)
        assert (union[shape, other] <= union[shape, losing]).all()
        if lazy.votes[shape] in (0, 1):
            assert lazy.votes[shape] == (is_sample[other] == is_sample[shape])


def assert_as_brute_force(samples, references, squared=False):
    solver = Solver()
    lazy = exact_neighbours(samples, references, squared=squared, solve=solver)
    ss, sr, rr = tables(samples, references, squared)
    assert_same(lazy, Neighbours.from_tables(ss, sr, rr))
    assert_decides_the_vote(lazy, ss, sr, rr)
    assert lazy.solved + lazy.stopped_early <= len(solver.calls)
    assert lazy.solved <= lazy.pairs
    return lazy


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31 - 1),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([1, 2, 5, 40]),
    st.booleans(),
)
def test_as_brute_force(seed, s, r, points, squared):
    generator = torch.Generator().manual_seed(seed)
    clouds = torch.randn(s + r, points, 3, generator=generator)
    clouds *= torch.rand(s + r, 1, 3, generator=generator)
    assert_as_brute_force(clouds[:s], clouds[s:], squared)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 8), st.integers(1, 8), st.booleans())
def test_ties(seed, s, r, squared):
    # Few different clouds of few whole numbers: copies, and exactly equal distances, abound.
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(0, 2, (5, 2, 3), generator=generator).double()
    clouds = kinds[torch.randint(0, 5, (s + r,), generator=generator)]
    assert_as_brute_force(clouds[:s], clouds[s:], squared)


@pytest.mark.parametrize("squared", [False, True])
def test_copies(squared):
    cloud = torch.rand(1, 30, 3)
    others = torch.rand(3, 30, 3)
    shuffled = cloud[:, torch.randperm(30)]
    assert_as_brute_force(torch.cat([others, shuffled]), torch.cat([cloud, cloud]), squared)
    assert_as_brute_force(cloud.expand(4, -1, -1), cloud.expand(3, -1, -1), squared)
    assert_as_brute_force(torch.zeros(2, 5, 3), torch.zeros(3, 5, 3), squared)


@pytest.mark.parametrize("offset", [1e-7, 1e7])
def test_far_from_the_origin_and_tiny(offset):
    clouds = 1e-3 * torch.rand(8, 20, 3) + offset
    assert_as_brute_force(clouds[:4], clouds[4:])


def test_most_pairs_are_spared():
    places = 10 * torch.randn(12, 1, 3)
    shapes = torch.rand(12, 1, 3)
    samples, references = (places + shapes * torch.randn(12, 60, 3) for _ in range(2))
    lazy = assert_as_brute_force(samples, references)
    assert lazy.pairs == 23 * 12
    assert 12 <= lazy.solved <= 40


def test_one_nearer_shape_of_the_own_set_decides_a_vote():
    samples = torch.rand(12, 60, 3)
    lazy = assert_as_brute_force(samples, torch.rand(1, 60, 3) + 100)
    assert lazy.votes.tolist() == [1] * 12 + [0]
    assert lazy.solved <= 12 + 12  # all to the reference, and each sample to one other


def test_single_precision_by_default_changes_nothing():
    torch.set_default_dtype(torch.float32)
    clouds = torch.randn(10, 50, 3)
    assert_as_brute_force(clouds[:5], clouds[5:])


def test_any_number_of_threads_does_the_same():
    clouds = torch.rand(16, 64, 3) * torch.rand(16, 1, 3)
    before, found = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(exact_neighbours(clouds[:8], clouds[8:], solve=Solver()))
    torch.set_num_threads(before)
    assert_same(*found)
    assert [getattr(found[0], n) for n in COUNTS] == [getattr(found[1], n) for n in COUNTS]


class Half:
    """One of two processes, played by two threads."""

    def __init__(self, rank, barrier, parts):
        self.rank, self.barrier, self.parts = rank, barrier, parts

    def of(self, count):
        return range(self.rank, count, 2)

    def sum(self, part):
        self.parts[self.rank] = part
        self.barrier.wait()
        total = self.parts[0] + self.parts[1]
        self.barrier.wait()
        return total


def test_two_processes_share_the_work():
    clouds = torch.rand(14, 64, 3) * torch.rand(14, 1, 3)
    alone, halves, found = Solver(), (Solver(), Solver()), {}
    expected = exact_neighbours(clouds[:7], clouds[7:], solve=alone)
    barrier, parts = threading.Barrier(2, timeout=20), {}

    def run(rank):
        share = Half(rank, barrier, parts)
        found[rank] = exact_neighbours(clouds[:7], clouds[7:], solve=halves[rank], share=share)

    workers = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for neighbours in found.values():
        assert_same(neighbours, expected)
        assert neighbours.solved == expected.solved
    assert len(halves[0].calls) + len(halves[1].calls) == len(alone.calls)
    assert min(len(half.calls) for half in halves) > len(alone.calls) / 4


def test_progress():
    clouds, seen = torch.rand(11, 30, 3), []
    exact_neighbours(clouds[:4], clouds[4:], solve=Solver(), progress=lambda *a: seen.append(a))
    done, totals = zip(*seen, strict=True)
    assert set(totals) == {55}
    assert list(done) == sorted(done)
    assert done[-1] == 55


@pytest.mark.parametrize("rounds", [1, 3, 6, 9])
def test_interrupted_work_goes_on(rounds):
    clouds = torch.rand(16, 64, 3) * torch.rand(16, 1, 3)
    whole, first, second = Solver(), Solver(), Solver()
    expected = exact_neighbours(clouds[:8], clouds[8:], solve=whole)
    left = rounds

    def interrupt(done, total):
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    cache, again = PairCache(), PairCache()
    with pytest.raises(KeyboardInterrupt):
        exact_neighbours(clouds[:8], clouds[8:], solve=first, cache=cache, progress=interrupt)
    file = io.BytesIO()
    np.savez(file, **cache.state())
    file.seek(0)
    again.restore(np.load(file))
    found = exact_neighbours(clouds[:8], clouds[8:], solve=second, cache=again)
    assert_same(found, expected)
    assert [getattr(found, n) for n in COUNTS] == [getattr(expected, n) for n in COUNTS]
    assert sorted(first.calls + second.calls) == sorted(whole.calls)


def test_a_cache_knows_pairs_of_references():
    samples, oracle, references = torch.rand(3, 6, 40, 3)
    cache, fresh, helped = PairCache(), Solver(), Solver()
    exact_neighbours(samples, references, solve=Solver(), cache=cache)
    found = exact_neighbours(
        oracle, references, solve=helped, cache=cache, names=("oracle", "references")
    )
    assert_same(found, exact_neighbours(oracle, references, solve=fresh))
    assert len(helped.calls) < len(fresh.calls)
    repeated = Solver()
    exact_neighbours(samples, references, solve=repeated, cache=cache)
    assert repeated.calls == []
    with pytest.raises(ValueError, match=r"cache: expected \(6, 6\) shapes of samples/references"):
        exact_neighbours(samples[:3], references, solve=Solver(), cache=cache)


def test_the_solver_of_the_package():
    clouds = torch.rand(6, 30, 3)
    found = exact_neighbours(clouds[:3], clouds[3:])
    expected = Neighbours.from_tables(*tables(clouds[:3], clouds[3:]))
    assert torch.allclose(found.minima, expected.minima, rtol=1e-12)
    assert torch.equal(found.votes, expected.votes)


def test_bad_clouds():
    good = torch.rand(2, 5, 3)
    for bad, message in (
        (torch.rand(2, 4, 3), r"references: expected \(shapes, 5, 3\), got \(2, 4, 3\)"),
        (torch.rand(0, 5, 3), "references: expected"),
        (torch.rand(5, 3), "references: expected"),
        (torch.full((2, 5, 3), torch.nan), "references: expected finite points"),
    ):
        with pytest.raises(ValueError, match=message):
            exact_neighbours(good, bad)
    with pytest.raises(ValueError, match=r"samples: expected \(shapes, N, 3\), got \(3,\)"):
        exact_neighbours(torch.rand(3), good)
