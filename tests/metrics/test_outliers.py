"""Areas under ROC curves, and lengths of clouds in a compressor."""

import math

import numpy as np
import pytest

from pointgen.metrics.outliers import auroc, code_length, share_as_strange, unlikeness


def test_the_area_is_the_share_of_right_orders():
    rng = np.random.default_rng(0)
    known, strange = rng.integers(0, 9, 40), rng.integers(2, 12, 30)
    pairs = [(a < b) + 0.5 * (a == b) for a in known for b in strange]
    assert auroc(known, strange) == pytest.approx(np.mean(pairs))
    assert auroc(known, strange) == pytest.approx(1 - auroc(strange, known))
    assert auroc(np.zeros(3), np.ones(5)) == 1


def test_simple_clouds_are_short_and_noise_is_as_long_as_it_must_be():
    rng = np.random.default_rng(0)
    box = (np.full(3, -1.0), 2.0)
    noise = rng.uniform(-1, 1, (4000, 3))
    plate = noise * [1, 0, 1]
    spot = np.zeros((4000, 3))
    long, middle, short = (code_length(cloud, *box) for cloud in (noise, plate, spot))
    assert short < middle < long
    # -log p of the uniform density on the box is 3 log 2; order does not count, log n! / n less.
    entropy = 3 * math.log(2) - (math.lgamma(4001) / 4000)
    assert entropy < long < entropy + 4.5


def test_units_shift_the_length_as_they_shift_a_density():
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(500, 3))
    near = code_length(cloud, np.full(3, -4.0), 8.0)
    far = code_length(10 * cloud + 3, np.full(3, -37.0), 80.0)
    assert far - near == pytest.approx(3 * math.log(10), abs=0.02)


def test_the_order_of_points_does_not_count():
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(500, 3))
    box = (np.full(3, -4.0), 8.0)
    assert code_length(cloud, *box) == code_length(cloud[::-1], *box)


def test_unlikeness_counts_in_standard_deviations_of_the_category():
    known = np.array([1.0, 2.0, 3.0, 10.0, 30.0])
    category = np.array([0, 0, 0, 1, 1])
    found = unlikeness(np.array([5.0, 0.0, 20.0]), np.array([0, 0, 1]), known, category)
    np.testing.assert_allclose(found, [3.0, 2.0, 0.0])
    with pytest.raises(ValueError, match="two or more known shapes of category 1, got 1"):
        unlikeness(np.array([5.0]), np.array([1]), known[:4], category[:4])


def test_as_strange_is_a_level_that_is_kept():
    """Of clouds like the known ones, no more than a share has a smaller share (a valid p-value)."""
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(200):
        known, new = rng.normal(size=(2, 99)), rng.normal(size=(2, 50))
        rates.append((share_as_strange(new, known) < 0.1).mean())
    assert 0.05 < np.mean(rates) < 0.1
    one = share_as_strange(np.array([[5.0, -5.0]]), rng.normal(size=(1, 99)))
    np.testing.assert_allclose(one, [0.01, 1.0])
    assert share_as_strange(np.array([[0.0], [9.0]]), np.zeros((2, 99)))[0] == 0.02
