"""Areas under ROC curves, and lengths of clouds in a compressor."""

import math

import numpy as np
import pytest

from pointgen.metrics.outliers import auroc, code_length


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
