import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointgen.metrics.neighbours import Neighbours
from pointgen.metrics.scores import (
    coverage,
    minimum_matching_distance,
    nearest_neighbour_accuracy,
)


def symmetric(table):
    return (table + table.mT).fill_diagonal_(0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31 - 1),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from(["ties", "none", "infinite"]),
)
def test_same_scores_as_tables(seed, s, r, dtype, kind):
    generator = torch.Generator().manual_seed(seed)
    ss, sr, rr = (
        torch.rand(shape, generator=generator, dtype=dtype) for shape in ((s, s), (s, r), (r, r))
    )
    if kind != "none":
        ss, sr, rr = ((3 * table).floor() for table in (ss, sr, rr))
    if kind == "infinite":
        ss, sr, rr = (table.masked_fill(table == 1, torch.inf) for table in (ss, sr, rr))
    ss, rr = symmetric(ss), symmetric(rr)
    found = Neighbours.from_tables(ss, sr, rr)
    assert found.minimum_matching_distance == minimum_matching_distance(sr)
    assert found.coverage == coverage(sr)
    assert found.nearest_neighbour_accuracy == nearest_neighbour_accuracy(ss, sr, rr)
    assert found.pairs == found.solved == s * r + s * (s - 1) // 2 + r * (r - 1) // 2


def test_by_hand():
    # On a line: samples at 0, 1, 10; references at 1.5, 12, 13.
    samples, references = torch.tensor([[0.0], [1], [10]]), torch.tensor([[1.5], [12], [13]])
    found = Neighbours.from_tables(
        torch.cdist(samples, samples),
        torch.cdist(samples, references),
        torch.cdist(references, references),
    )
    assert found.minima.tolist() == [0.5, 2, 3]
    assert found.nearest_sample.tolist() == [1, 2, 2]
    assert found.nearest_reference.tolist() == [0, 0, 1]
    assert found.sample_minima.tolist() == [1.5, 0.5, 2]
    assert found.votes.tolist() == [1, 0, 0, 0, 1, 1]
    assert found.nearest_other.tolist() == [1, 3, 4, 1, 5, 4]


def test_the_first_of_equally_near_ones_counts():
    same = torch.zeros(2, 2)
    found = Neighbours.from_tables(same, same, same)
    assert found.nearest_sample.tolist() == found.nearest_reference.tolist() == [0, 0]
    assert found.votes.tolist() == [1 / 3] * 4


def test_bad_tables():
    good = torch.zeros(2, 2)
    for tables, message in (
        ((good, torch.zeros(3), good), r"sr: expected \(S, R\), not empty, got \(3,\)"),
        ((good, torch.zeros(0, 4), good), "sr: expected"),
        ((torch.zeros(3, 3), good, good), r"ss: expected \(2, 2\), got \(3, 3\)"),
        ((good, good, torch.full((2, 2), torch.nan)), "rr: expected distances, got NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            Neighbours.from_tables(*tables)
