import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointgen.metrics.scores import (
    coverage,
    minimum_matching_distance,
    nearest_neighbour_accuracy,
)

# Three samples (rows) against four references (columns).
TABLE = torch.tensor([[1.0, 5, 9, 2], [3, 4, 8, 7], [6, 0.5, 9, 9]])


def tables(samples: torch.Tensor, references: torch.Tensor) -> list[torch.Tensor]:
    """ss, sr and rr of points (S, D) and (R, D)."""
    return [
        torch.cdist(samples, samples),
        torch.cdist(samples, references),
        torch.cdist(references, references),
    ]


def test_minimum_matching_distance_by_hand():
    assert minimum_matching_distance(TABLE) == (1 + 0.5 + 8 + 2) / 4


def test_coverage_by_hand():
    assert coverage(TABLE) == 2 / 4  # nearest references: 0, 0, 1
    assert coverage(torch.eye(5) * -1) == 1
    assert coverage(torch.arange(5.0).expand(5, 5)) == 1 / 5


def test_nearest_neighbour_accuracy_by_hand():
    # On a line: samples at 0, 1, 10; references at 1.5, 12, 13.
    # 0 -> 1 own; 1 -> 1.5 other; 10 -> 12 other; 1.5 -> 1 other; 12 -> 13 own; 13 -> 12 own.
    samples, references = torch.tensor([[0.0], [1], [10]]), torch.tensor([[1.5], [12], [13]])
    assert nearest_neighbour_accuracy(*tables(samples, references)) == 3 / 6


def test_accuracy_is_half_for_one_distribution_and_one_for_far_sets():
    samples, references = torch.randn(2, 600, 3)
    assert abs(nearest_neighbour_accuracy(*tables(samples, references)) - 0.5) < 0.06
    assert nearest_neighbour_accuracy(*tables(samples, references + 100)) == 1


def test_copies_of_the_references_fool_the_classifier():
    references = torch.randn(50, 3)
    assert nearest_neighbour_accuracy(*tables(references + 1e-6, references)) == 0


def test_equal_distances_share_the_vote():
    same = torch.zeros(4, 4)
    # Every cloud has 3 neighbours of its own set and 4 others, all equally near.
    assert nearest_neighbour_accuracy(same, same, same) == pytest.approx(3 / 7)


def test_infinite_distances_do_not_make_a_cloud_its_own_neighbour():
    far = torch.full((2, 2), torch.inf)
    assert nearest_neighbour_accuracy(far, far, far) == pytest.approx(1 / 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 12), st.integers(1, 12))
def test_laws(seed, s, r):
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randn(s, 2, generator=generator)
    references = torch.randn(r, 2, generator=generator)
    ss, sr, rr = tables(samples, references)
    accuracy = nearest_neighbour_accuracy(ss, sr, rr)
    assert 0 <= accuracy <= 1
    assert nearest_neighbour_accuracy(rr, sr.mT, ss) == pytest.approx(accuracy)
    assert 1 / r <= coverage(sr) <= min(1, s / r)
    more = torch.cat([sr, torch.rand(1, r, generator=generator)])
    assert minimum_matching_distance(more) <= minimum_matching_distance(sr)
    order, other = torch.randperm(s, generator=generator), torch.randperm(r, generator=generator)
    shuffled = (ss[order][:, order], sr[order][:, other], rr[other][:, other])
    assert nearest_neighbour_accuracy(*shuffled) == pytest.approx(accuracy)
    assert coverage(shuffled[1]) == coverage(sr)


@pytest.mark.parametrize("bad", [torch.zeros(3), torch.zeros(0, 4), torch.full((2, 2), torch.nan)])
def test_bad_tables(bad):
    for score in (minimum_matching_distance, coverage):
        with pytest.raises(ValueError, match="distances"):
            score(bad)
    with pytest.raises(ValueError, match="sr"):
        nearest_neighbour_accuracy(torch.zeros(2, 2), bad, torch.zeros(2, 2))


def test_tables_that_do_not_fit():
    with pytest.raises(ValueError, match=r"ss: expected \(2, 2\), got \(3, 3\)"):
        nearest_neighbour_accuracy(torch.zeros(3, 3), torch.zeros(2, 3), torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"rr: expected \(3, 3\), got \(2, 2\)"):
        nearest_neighbour_accuracy(torch.zeros(2, 2), torch.zeros(2, 3), torch.zeros(2, 2))
