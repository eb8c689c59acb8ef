import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointgen.metrics import bootstrap
from pointgen.metrics.bootstrap import intervals
from pointgen.metrics.scores import (
    coverage,
    minimum_matching_distance,
    nearest_neighbour_accuracy,
)


@pytest.fixture(autouse=True)
def _one_thread():
    """The tensors are small: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tables(samples: torch.Tensor, references: torch.Tensor) -> list[torch.Tensor]:
    """ss, sr and rr of points (S, D) and (R, D)."""
    return [
        torch.cdist(samples, samples),
        torch.cdist(samples, references),
        torch.cdist(references, references),
    ]


def facts(ss: torch.Tensor, sr: torch.Tensor, rr: torch.Tensor) -> list[torch.Tensor]:
    """What `intervals` needs to know of the tables, which have no ties."""
    union = torch.cat([torch.cat([ss, sr], dim=1), torch.cat([sr.mT, rr], dim=1)])
    nearest_other = union.fill_diagonal_(torch.inf).argmin(dim=1)
    is_sample = torch.arange(len(union)) < len(ss)
    votes = (is_sample == is_sample[nearest_other]).double()
    minima, nearest_sample = sr.min(dim=0)
    return [minima, nearest_sample, sr.argmin(dim=1), votes, nearest_other]


def scores(ss: torch.Tensor, sr: torch.Tensor, rr: torch.Tensor) -> dict[str, float]:
    return {
        "MMD": minimum_matching_distance(sr),
        "COV": coverage(sr),
        "1-NNA": nearest_neighbour_accuracy(ss, sr, rr),
    }


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def normal_width(variance: float) -> float:
    """Width of the 95 % interval of a normal distribution."""
    return 2 * 1.96 * math.sqrt(variance)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 12), st.integers(1, 12), st.floats(0.01, 0.99))
def test_laws(seed, s, r, level):
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randn(s, 2, generator=generator)
    references = torch.randn(r, 2, generator=generator)
    every = tables(samples, references)
    known = facts(*every)
    found = intervals(*known, draws=50, level=level, seed=seed)
    for name, score in scores(*every).items():
        assert found[name][0] - 1e-12 <= score <= found[name][1] + 1e-12
    assert found["MMD"][0] >= 0
    assert 1 / r <= found["COV"][0] <= found["COV"][1] <= min(1, s / r)
    assert 0 <= found["1-NNA"][0] <= found["1-NNA"][1] <= 1
    # The same seed gives the same; other units change the units of MMD, and nothing else.
    again = intervals(4 * known[0], *known[1:], draws=50, level=level, seed=seed)
    assert again == {**found, "MMD": tuple(4 * limit for limit in found["MMD"])}
    wider = intervals(*known, draws=50, level=(1 + level) / 2, seed=seed)
    assert all(wider[n][0] <= found[n][0] and found[n][1] <= wider[n][1] for n in found)


@pytest.mark.parametrize("shift", [0.0, 0.7])
@pytest.mark.parametrize(("s", "r"), [(60, 60), (30, 90)])
def test_intervals_cover_the_mean_score_of_new_draws_and_are_not_wasteful(s, r, shift):
    tried, found = [], []
    for seed in range(150):
        every = tables(torch.rand(s, 3) + shift * torch.eye(3)[0], torch.rand(r, 3))
        tried.append(scores(*every))
        found.append(intervals(*facts(*every), draws=200, seed=seed))
    for name in tried[0]:
        values = torch.tensor([score[name] for score in tried])
        mean = values.mean()
        covered = sum(bool(each[name][0] <= mean <= each[name][1]) for each in found)
        assert covered >= 0.86 * len(found)
        mean_width = sum(width(each[name]) for each in found) / len(found)
        assert 0.8 < mean_width / normal_width(values.var().item()) < 1.4


def test_more_shapes_give_narrower_intervals():
    few, many = (
        intervals(*facts(*tables(torch.rand(n, 3), torch.rand(n, 3))), seed=0) for n in (40, 640)
    )
    for name in ("COV", "1-NNA"):
        assert width(many[name]) == pytest.approx(width(few[name]) / 4, rel=0.3)


def test_each_pair_of_mutual_neighbours_counts_once():
    # 400 shapes in 200 pairs, half of the pairs within a set: 200 outcomes of variance 1/4.
    partner = torch.arange(400) ^ 1
    within = torch.arange(400) % 4 < 2
    first = torch.arange(400) < 200  # the samples
    other_set = (torch.arange(400) + 200) % 400
    nearest_other = torch.where(within, partner, other_set)
    votes = (first == first[nearest_other]).double()
    assert votes.mean() == 0.5
    result = intervals(
        torch.ones(200), torch.arange(200), torch.arange(200), votes, nearest_other, seed=0
    )
    assert width(result["1-NNA"]) == pytest.approx(normal_width(1 / 4 / 200), rel=0.1)


def test_the_fixed_shares_of_both_sets_do_not_count():
    # Samples always lose and references always win: how many of each there are is no chance.
    votes = torch.arange(4000) >= 1000
    order = torch.randperm(4000)
    nearest_other = torch.empty_like(order).scatter_(0, order, order.view(-1, 2).flip(1).flatten())
    result = intervals(
        torch.ones(3000), torch.zeros(3000, dtype=torch.int64), torch.arange(1000),
        votes.double(), nearest_other, draws=200, seed=0,
    )  # fmt: skip
    assert width(result["1-NNA"]) < 0.005 < normal_width(3 / 16 / 2000) / 5


def test_the_fixed_number_of_samples_narrows_coverage():
    # Samples thrown at equally likely references: 1/e are missed, and the number of those missed
    # varies by (1 - 2/e) / e for each reference, as is known for balls and urns.
    nearest_reference = torch.randint(400, (400,))
    result = intervals(
        torch.ones(400), torch.arange(400), nearest_reference, torch.ones(800),
        torch.arange(800) ^ 1, seed=0,
    )  # fmt: skip
    variance = (1 - 2 / math.e) / math.e / 400
    assert width(result["COV"]) == pytest.approx(normal_width(variance), rel=0.15)


def test_references_of_one_nearest_sample_count_together():
    rest = (torch.zeros(100, dtype=torch.int64), torch.ones(500), torch.arange(500) ^ 1)
    minima = torch.rand(100).repeat_interleave(4)
    variance = minima.var().item()
    alone = intervals(minima, torch.zeros(400, dtype=torch.int64), *rest, seed=0)
    assert width(alone["MMD"]) == pytest.approx(normal_width(variance / 400), rel=0.1)
    together = intervals(minima, torch.arange(400) // 4, *rest, seed=0)
    assert width(together["MMD"]) == pytest.approx(normal_width(variance / 100), rel=0.15)


def test_unanimous_outcomes_are_not_certain():
    pairs = torch.arange(200) ^ 1
    same = torch.arange(100)
    for votes in (torch.zeros(200), torch.ones(200)):
        result = intervals(torch.rand(100), same, same, votes, pairs, seed=0)
        # Where 100 of 100 agree, 0.025 ** (1 / 100) is the exact limit.
        assert width(result["1-NNA"]) == pytest.approx(1 - 0.025**0.01, abs=0.015)
        assert width(result["COV"]) == pytest.approx(1 - 0.025**0.01, abs=0.015)
        assert result["COV"][1] == 1


def test_memory_does_not_matter(monkeypatch):
    known = facts(*tables(torch.rand(20, 3), torch.rand(30, 3)))
    result = intervals(*known, seed=0)
    assert intervals(*known, seed=1) != result
    monkeypatch.setattr(bootstrap, "ROWS_AT_ONCE", 100)
    in_parts = intervals(*known, seed=0)
    assert all(in_parts[name] == pytest.approx(result[name]) for name in result)


GOOD = {
    "minima": torch.ones(2),
    "nearest_sample": torch.tensor([0, 2]),
    "nearest_reference": torch.tensor([0, 0, 1]),
    "votes": torch.ones(5),
    "nearest_other": torch.tensor([1, 0, 4, 0, 2]),
}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"minima": torch.ones(0)}, "expected samples and references, got 3 and 0"),
        ({"minima": torch.ones(2, 1)}, r"minima: expected \(2,\), got \(2, 1\)"),
        ({"minima": torch.tensor([1, torch.nan])}, "minima: expected finite values"),
        ({"votes": torch.ones(4)}, r"votes: expected \(5,\), got \(4,\)"),
        ({"votes": torch.full((5,), torch.inf)}, "votes: expected finite values"),
        ({"nearest_sample": torch.tensor([0, 3])}, "nearest_sample: expected int64 from 0 to 2"),
        ({"nearest_sample": torch.ones(2)}, "nearest_sample: expected int64 from 0 to 2"),
        ({"nearest_reference": torch.tensor([0, 0, -1])}, "nearest_reference: .* from 0 to 1"),
        ({"nearest_other": torch.full((5,), 5)}, "nearest_other: expected int64 from 0 to 4"),
        ({"draws": 0}, "draws: expected at least 1, got 0"),
        ({"level": 1.0}, "level: expected a number between 0 and 1, got 1.0"),
    ],
)
def test_bad_input(bad, message):
    assert intervals(**GOOD, seed=0)
    with pytest.raises(ValueError, match=message):
        intervals(**{**GOOD, **bad}, seed=0)
