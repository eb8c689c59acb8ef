import json
import math

import numpy as np
import pytest
import torch

from pointgen.metrics.comparisons import DISTANCES
from pointgen.metrics.evaluate import Scoring, evaluate
from pointgen.metrics.store import Store
from pointgen.metrics.work import Work

NAMES = ["1-NNA-CD", "COV-CD", "MMD-CD", "MMD-smp-CD", "JSD"]


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
    scores = {"1-NNA-CD": 0, "COV-CD": 1, "MMD-CD": 0, "MMD-smp-CD": 0, "JSD": 0}
    assert evaluate(reference, reference).scores == scores
    assert evaluate(reference.numpy(), reference.clone()).scores["MMD-CD"] == 0


def test_oracle_is_scored_as_samples_would_be():
    samples, reference, oracle = (boxes(8, 20, seed=s) for s in range(3))
    sheet = evaluate(samples, reference, oracle=oracle)
    assert sheet.scores == evaluate(samples, reference).scores
    assert sheet.oracle.scores == evaluate(oracle, reference).scores
    assert sheet.oracle.intervals == evaluate(oracle, reference).samples.intervals
    assert list(sheet.rows()) == ["samples", "real data"]
    assert "real data" in str(sheet) and "other real clouds" in str(sheet)


def test_half_of_the_references_against_the_other_half():
    samples, reference = boxes(6, 20, seed=0), boxes(9, 20, seed=1)
    sheet = evaluate(samples, reference, oracle="half", scoring=Scoring(seed=3))
    assert sheet.oracle.shapes == (5, 4)
    assert sheet.scores == evaluate(samples, reference).scores
    other = evaluate(samples, reference, oracle="half", scoring=Scoring(seed=4))
    assert other.oracle.scores != sheet.oracle.scores
    with pytest.raises(ValueError, match="two references at least"):
        evaluate(samples, reference[:1], oracle="half")


def test_failed_samples_are_counted_and_left_out():
    samples, reference = boxes(8, 20, seed=0), boxes(8, 20, seed=1)
    expected = evaluate(samples[2:], reference)
    samples[0, 3, 1] = torch.nan
    samples[1, 0, 0] = 1e30
    sheet = evaluate(samples, reference)
    assert sheet.failed == (0, 1)
    assert sheet.samples.shapes == (6, 8)
    assert sheet.scores == expected.scores
    assert "2 of 8 samples failed" in str(sheet)


def test_huge_but_legal_values_give_finite_scores():
    sheet = evaluate(boxes(4, 9, seed=0).float() * 1e17, boxes(4, 9, seed=1).float())
    assert all(math.isfinite(value) for value in sheet.scores.values())


def test_differing_point_counts_are_thinned_and_named():
    samples, reference = boxes(8, 50, seed=0), boxes(8, 30, seed=1)
    sheet = evaluate(samples, reference, scoring=Scoring(seed=4))
    assert sheet.compared_points == 30
    assert sheet.points == {"samples": 50, "reference": 30}
    assert "thinned to 30" in str(sheet)
    assert sheet.scores == evaluate(samples, reference, scoring=Scoring(seed=4)).scores
    assert sheet.scores != evaluate(samples, reference, scoring=Scoring(seed=5)).scores
    assert "thinned" not in str(evaluate(samples[:, :30], reference))
    fewer = evaluate(samples, reference, scoring=Scoring(points=20))
    assert fewer.compared_points == 20 and "thinned to 20" in str(fewer)
    with pytest.raises(ValueError, match=r"^reference: has clouds of 30 points, 31 of each"):
        evaluate(samples, reference, scoring=Scoring(points=31))


def test_differing_numbers_of_shapes_are_noted():
    sheet = evaluate(boxes(5, 10, seed=0), boxes(9, 10, seed=1))
    assert any("differ in size" in note for note in sheet.notes)
    same = evaluate(boxes(9, 10, seed=0), boxes(9, 10, seed=1))
    assert not any("differ in size" in note for note in same.notes)


def test_one_cloud_is_enough():
    sheet = evaluate(boxes(1, 10, seed=0), boxes(1, 10, seed=1))
    assert sheet.scores["COV-CD"] == 1
    assert sheet.scores["1-NNA-CD"] == 0


def test_sheet_reads_well_as_text_and_as_json():
    sheet = evaluate(boxes(5, 12, seed=0), boxes(7, 10, seed=1), oracle=boxes(3, 11, seed=2))
    back = json.loads(json.dumps(sheet.to_json(), allow_nan=False))
    assert back["scores"] == sheet.scores
    assert list(back["scores"]) == list(back["oracle"]["scores"]) == NAMES
    assert (back["shapes"], back["references"], back["oracle"]["shapes"]) == (5, 7, 3)
    assert {"MMD", "COV", "1-NNA", "CD", "JSD"} <= set(back["definitions"])
    assert set(back["software"]) >= {"pointgen", "torch"} and back["effort"]["CD"]["solved"] > 0
    header, *lines = repr(sheet).splitlines()[: len(NAMES) + 2]
    assert {len(line) for line in lines} == {len(header)}
    for name, line in zip(NAMES, lines, strict=False):
        assert line.startswith(name)
    assert f"{100 * sheet.scores['COV-CD']:.1f} %" in lines[1]


def test_intervals_hold_the_scores_and_are_chosen_by_the_seed():
    sets = boxes(12, 20, seed=0), boxes(12, 20, seed=1)
    row = evaluate(*sets).samples
    assert set(row.intervals) == {"MMD-CD", "COV-CD", "1-NNA-CD"}
    for name, (low, high) in row.intervals.items():
        assert low <= row.scores[name] <= high and low < high
    assert row.intervals == evaluate(*sets).samples.intervals
    assert evaluate(*sets, scoring=Scoring(draws=0)).samples.intervals == {}


def test_exchanging_the_sets_exchanges_the_two_means_and_keeps_the_symmetric_scores():
    one, other = boxes(7, 20, seed=0), boxes(5, 20, seed=1)
    there, back = evaluate(one, other).scores, evaluate(other, one).scores
    assert there["MMD-CD"] == pytest.approx(back["MMD-smp-CD"])
    assert there["MMD-smp-CD"] == pytest.approx(back["MMD-CD"])
    assert there["1-NNA-CD"] == pytest.approx(back["1-NNA-CD"])
    assert there["JSD"] == pytest.approx(back["JSD"])


def test_units_of_each_cloud_forget_place_and_size():
    one, other = boxes(7, 20, seed=0), boxes(5, 20, seed=1)
    moved = one * torch.rand(7, 1, 1).add(0.5) + torch.rand(7, 1, 3)
    box = Scoring(units="half_box")
    scores = evaluate(one, other, scoring=box).scores
    assert evaluate(moved, other, scoring=box).scores == pytest.approx(scores)
    assert evaluate(moved, other).scores != pytest.approx(evaluate(one, other).scores)


def test_a_sample_without_size_fails_where_clouds_get_units_of_their_own():
    samples, reference = boxes(4, 20, seed=0), boxes(5, 20, seed=1)
    samples[2] = 0.3
    assert evaluate(samples, reference).failed == ()
    assert evaluate(samples, reference, scoring=Scoring(units="box")).failed == (2,)


def test_points_outside_the_grid_are_noted():
    inside = evaluate(boxes(4, 20, seed=0) / 4, boxes(4, 20, seed=1) / 4)
    assert not any("JSD says little" in note for note in inside.notes)
    sheet = evaluate(boxes(4, 20, seed=0) * 3, boxes(4, 20, seed=1))
    assert any("JSD says little" in note for note in sheet.notes)


@pytest.mark.parametrize("distance", ["EMD", "EMD-squared"])
def test_exact_matching_gives_what_all_pairs_would(distance):
    from pointgen.geometry.emd import emd
    from pointgen.metrics.scores import (
        coverage,
        minimum_matching_distance,
        nearest_neighbour_accuracy,
    )

    one, other = boxes(6, 24, seed=0), boxes(7, 24, seed=1)

    def table(a, b):
        squared = distance == "EMD-squared"
        return torch.stack([emd(x.expand_as(b), b, squared=squared) for x in a.unsqueeze(1)])

    sr = table(one, other)
    sheet = evaluate(one, other, oracle="half", scoring=Scoring(distances=(distance,)))
    scores = sheet.scores
    assert scores[f"MMD-{distance}"] == pytest.approx(minimum_matching_distance(sr))
    assert scores[f"COV-{distance}"] == coverage(sr)
    assert scores[f"1-NNA-{distance}"] == nearest_neighbour_accuracy(
        table(one, one), sr, table(other, other)
    )
    effort = sheet.to_json()["effort"][distance]
    assert 0 < effort["solved"] <= effort["pairs"] == 13 * 12 // 2


@pytest.mark.parametrize("distance", sorted(DISTANCES))
def test_every_distance_scores_counts_and_goes_on_where_it_was(distance, monkeypatch, tmp_path):
    monkeypatch.setattr("pointgen.metrics.store.EVERY", 0.0)
    sets = boxes(20, 16, seed=0), boxes(4, 16, seed=1)
    scoring = Scoring(distances=(distance,))
    calls: list[tuple[int, int]] = []
    whole = evaluate(*sets, scoring=scoring, progress=lambda *both: calls.append(both))
    assert calls[-1][0] == calls[-1][1]
    assert distance in whole.definitions and whole.methods[distance]

    def interrupt(done, total):
        if done > total / 3:
            raise KeyboardInterrupt

    path = tmp_path / "cache.npz"
    with pytest.raises(KeyboardInterrupt):
        evaluate(*sets, scoring=scoring, work=Work(store=Store(path)), progress=interrupt)
    again: list[tuple[int, int]] = []
    resumed = evaluate(
        *sets,
        scoring=scoring,
        work=Work(store=Store(path)),
        progress=lambda *both: again.append(both),
    )
    assert resumed.scores == whole.scores
    assert again[0][0] >= calls[0][0] and again[-1] == calls[-1]


def test_a_distance_named_twice_is_found_once():
    sets = boxes(4, 8, seed=0), boxes(4, 8, seed=1)
    twice = evaluate(*sets, scoring=Scoring(distances=("CD", "CD")))
    assert twice.to_json() == evaluate(*sets).to_json()


def test_what_is_drawn_of_the_references_does_not_depend_on_the_samples():
    reference = boxes(6, 40, seed=1)
    first, second = (
        evaluate(boxes(count, 20, seed=0), reference, oracle="half").oracle for count in (3, 5)
    )
    assert first.scores == second.scores


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distances": ("DCD",)}, r"^distances: expected some of CD, EMD, .*, got DCD$"),
        ({"distances": ()}, r"^distances: .*, got none$"),
        ({"points": 0}, r"^points: expected at least 1, got 0"),
        ({"level": 2.0}, "^level and draws"),
    ],
)
def test_scoring_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Scoring(**options)


def test_an_oracle_is_clouds_or_half():
    with pytest.raises(ValueError, match=r"^oracle: expected clouds, half or None, got 'none'"):
        evaluate(boxes(2, 5, seed=0), boxes(2, 5, seed=1), oracle="none")


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
