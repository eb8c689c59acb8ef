import dataclasses

import numpy as np
import pytest

from pointgen.datasets.facts import facts_of


@pytest.fixture
def cloud():
    """A box of sides 1, 2 and 2 with its corners, so that its diagonal is 3, from (5, 0, 0) on."""
    rng = np.random.default_rng(0)
    points = rng.random((500, 3))
    points[:8] = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    return (points * [1, 2, 2] + [5, 0, 0]).astype(np.float32)


def test_known_answers(cloud):
    facts = facts_of(cloud)
    assert (facts.count, facts.distinct, facts.strays, facts.dimensions) == (500, 500, 0, 3)
    assert (facts.low, facts.high) == ((5, 0, 0), (6, 2, 2))
    assert facts.diagonal == 3
    np.testing.assert_array_equal(facts.middle, [5.5, 1, 1])
    exact = cloud.astype(np.float64)
    offsets = exact - exact.mean(axis=0)
    np.testing.assert_allclose(facts.centroid, exact.mean(axis=0))
    assert facts.radius == pytest.approx(np.linalg.norm(offsets, axis=1).max())
    assert facts.deviation == pytest.approx(np.sqrt((offsets**2).mean()))


def test_the_order_of_the_points_changes_nothing(cloud):
    facts, other = facts_of(cloud), facts_of(cloud[::-1])
    assert facts.digest == other.digest
    for field in dataclasses.fields(facts):
        if field.name != "digest":
            np.testing.assert_allclose(vars(facts)[field.name], vars(other)[field.name], rtol=1e-12)


@pytest.mark.parametrize("axis", range(3))
def test_the_smallest_change_of_a_point_changes_the_digest(cloud, axis):
    moved = cloud.copy()
    moved[9, axis] = np.nextafter(moved[9, axis], np.float32(99))
    assert facts_of(moved).digest != facts_of(cloud).digest


def test_columns_are_not_interchangeable(cloud):
    digests = {
        facts_of(cloud[:, list(order)]).digest for order in [(0, 1, 2), (1, 0, 2), (0, 2, 1)]
    }
    assert len(digests) == 3


def test_zero_has_no_sign():
    points = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.float32)
    negative = np.where(points == 0, np.float32(-0.0), points)
    assert facts_of(points).digest == facts_of(negative).digest


@pytest.mark.parametrize("scale", [1e-30, 1, 1e18])
@pytest.mark.parametrize("dimensions", [0, 1, 2, 3])
def test_dimensions_in_any_direction_and_size(dimensions, scale):
    rng = np.random.default_rng(dimensions)
    basis, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    flat = rng.random((200, dimensions)) @ basis[:dimensions] + 0.5
    assert facts_of((scale * flat).astype(np.float32)).dimensions == dimensions


def test_strays_are_counted_and_left_out(cloud):
    with_strays = cloud.copy()
    with_strays[100:103] = 1e6
    facts = facts_of(with_strays)
    assert facts.strays == 3
    assert facts.diagonal == 3
    assert facts.farthest > 1e5


def test_most_points_in_one_place():
    points = np.zeros((100, 3), np.float32)
    points[0] = 1
    facts = facts_of(points)
    assert (facts.distinct, facts.strays, facts.dimensions) == (2, 0, 1)


def test_the_fullest_slab_is_where_most_points_are():
    points = np.random.default_rng(0).random((1000, 3)).astype(np.float32)
    points[:600, 1] = 0.9
    facts = facts_of(points)
    assert int(np.argmax(facts.slabs)) == 1
    assert facts.slabs[1] == pytest.approx(0.616, abs=0.02)
    assert facts.heights[1] == pytest.approx(0.9, abs=0.02)
