import json
import math

import numpy as np
import pytest
import torch

from pointgen.metrics.sheet import DEFINITIONS, DISTANCES, evaluate

NAMES = ["MMD-CD", "COV-CD", "1-NNA-CD"]


def boxes(count: int, points: int, seed: int) -> torch.Tensor:
    """Points in boxes of random proportions: a distribution of shapes."""
    generator = torch.Generator().manual_seed(seed)
    sides = 0.3 + torch.rand(count, 1, 3, generator=generator)
    return (torch.rand(count, points, 3, generator=generator) - 0.5) * sides


def test_same_distribution_scores_well_and_a_far_one_does_not():
    reference = boxes(60, 64, seed=0)
    good = evaluate(boxes(60, 64, seed=1), reference).scores
    bad = evaluate(boxes(60, 64, seed=1) * 0.1 + 3, reference).scores
    assert abs(good["1-NNA-CD"] - 0.5) < 0.15
    assert bad["1-NNA-CD"] == 1
    assert good["COV-CD"] > 0.4 > bad["COV-CD"]
    assert good["MMD-CD"] < bad["MMD-CD"]


def test_a_set_against_itself_is_exact():
    reference = boxes(10, 32, seed=0)
    assert evaluate(reference, reference).scores == {"MMD-CD": 0, "COV-CD": 1, "1-NNA-CD": 0}
    assert evaluate(reference.numpy(), reference.clone()).scores["MMD-CD"] == 0


def test_oracle_is_scored_as_samples_would_be():
    samples, reference, oracle = (boxes(8, 20, seed=s) for s in range(3))
    sheet = evaluate(samples, reference, oracle=oracle)
    assert sheet.scores == evaluate(samples, reference).scores
    assert sheet.oracle == evaluate(oracle, reference).scores
    assert [row["set"] for row in sheet.rows()] == ["samples", "oracle"]
    assert "real data" in str(sheet)


def test_failed_samples_are_counted_and_left_out():
    samples, reference = boxes(8, 20, seed=0), boxes(8, 20, seed=1)
    expected = evaluate(samples[2:], reference)
    samples[0, 3, 1] = torch.nan
    samples[1, 0, 0] = 1e30
    sheet = evaluate(samples, reference)
    assert sheet.failed == 2
    assert sheet.shapes == {"samples": 6, "reference": 8}
    assert sheet.scores == expected.scores
    assert "2 of 8 samples failed" in str(sheet)


def test_huge_but_legal_values_give_finite_scores():
    sheet = evaluate(boxes(4, 9, seed=0).float() * 1e17, boxes(4, 9, seed=1).float())
    assert all(math.isfinite(value) for value in sheet.scores.values())


def test_differing_point_counts_are_thinned_and_named():
    samples, reference = boxes(8, 50, seed=0), boxes(8, 30, seed=1)
    sheet = evaluate(samples, reference, seed=4)
    assert sheet.resampled_to == 30
    assert sheet.points == {"samples": 50, "reference": 30}
    assert "thinned to 30" in str(sheet)
    assert sheet.scores == evaluate(samples, reference, seed=4).scores
    assert sheet.scores != evaluate(samples, reference, seed=5).scores
    assert evaluate(samples[:, :30], reference).resampled_to is None


def test_differing_numbers_of_shapes_are_noted():
    sheet = evaluate(boxes(5, 10, seed=0), boxes(9, 10, seed=1))
    assert any("differ in size" in note for note in sheet.notes)
    assert evaluate(boxes(9, 10, seed=0), boxes(9, 10, seed=1)).notes == []


def test_one_cloud_is_enough():
    sheet = evaluate(boxes(1, 10, seed=0), boxes(1, 10, seed=1))
    assert sheet.scores["COV-CD"] == 1
    assert sheet.scores["1-NNA-CD"] == 0


def test_sheet_reads_well_as_text_and_as_json():
    sheet = evaluate(boxes(5, 12, seed=0), boxes(7, 10, seed=1), oracle=boxes(3, 11, seed=2))
    back = json.loads(json.dumps(sheet.to_json(), allow_nan=False))
    assert back["scores"] == sheet.scores
    assert list(back["scores"]) == list(back["oracle"]) == NAMES
    assert back["shapes"] == {"samples": 5, "reference": 7, "oracle": 3}
    assert set(back["definitions"]) == {"MMD", "COV", "1-NNA", "CD"}
    text = repr(sheet)
    header, first, second, *_ = text.splitlines()
    assert len(header) == len(first) == len(second)
    assert all(name in header for name in NAMES)
    assert f"{100 * sheet.scores['COV-CD']:.1f} %" in first


def test_every_distance_is_defined():
    assert set(DISTANCES) <= set(DEFINITIONS)


def test_progress_ends_at_the_total():
    calls: list[tuple[int, int]] = []
    sets = boxes(5, 6, seed=0), boxes(4, 6, seed=1), boxes(3, 6, seed=2)
    evaluate(*sets[:2], oracle=sets[2], progress=lambda done, total: calls.append((done, total)))
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert set(totals) == {done[-1]}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.zeros(0, 5, 3), r"got \(0, 5, 3\)"),
        (torch.zeros(2, 0, 3), r"got \(2, 0, 3\)"),
        (torch.zeros(5, 3), r"got \(5, 3\)"),
        (torch.zeros(2, 5, 2), r"got \(2, 5, 2\)"),
        (np.zeros((2, 3, 5)), r"got \(2, 3, 5\)"),
        (np.full((2, 5, 3), "x"), "expected numbers"),
        ([[[0.0, 0, 0]]], "got list"),
        (torch.full((2, 5, 3), torch.nan), "2 of 2 clouds"),
    ],
)
def test_bad_sets_are_named(bad, message):
    good = boxes(2, 5, seed=0)
    with pytest.raises(ValueError, match=f"^samples: .*{message}"):
        evaluate(bad, good)
    with pytest.raises(ValueError, match=f"^reference: .*{message}"):
        evaluate(good, bad)
    with pytest.raises(ValueError, match=f"^oracle: .*{message}"):
        evaluate(good, good, oracle=bad)


def test_one_bad_cloud_among_the_real_is_an_error_that_names_it():
    reference = boxes(4, 5, seed=0)
    reference[2, 1, 1] = torch.inf
    with pytest.raises(ValueError, match=r"reference: .* 1 of 4 .* cloud 2$"):
        evaluate(boxes(4, 5, seed=1), reference)
