import numpy as np
import pytest

from pointgen.geometry.directions import all_around
from pointgen.view.light import lamp, sky, visibility


def test_directions_are_unit_vectors_where_they_should_be():
    toward = np.array([0.6, 0.8, 0.0])
    for directions in (all_around(200), sky(200), lamp(toward, 200, 0.3)):
        assert np.allclose(np.linalg.norm(directions, axis=1), 1)
    assert np.allclose(all_around(2000).mean(axis=0), 0, atol=2e-3)
    assert np.allclose(sky(2000).mean(axis=0), (0, 2 / 3, 0), atol=5e-3)  # mean of a cosine lobe
    assert (lamp(toward, 200, 0.3) @ toward >= np.cos(0.3) - 1e-12).all()


def test_nothing_hides_a_point_that_is_alone():
    alone = np.zeros((1, 3))
    assert visibility(alone, alone, all_around(64), 0.1) == 1


def test_a_wide_roof_hides_the_sky_and_only_what_is_below_it():
    side = np.linspace(-1, 1, 60)
    x, z = (axis.ravel() for axis in np.meshgrid(side, side))
    roof = np.stack([x, np.full(x.size, 1.0), z], axis=1)
    below, above, far = (0.0, 0.8, 0.0), (0.0, 1.5, 0.0), (9.0, 0.8, 0.0)
    seen = visibility(np.array([below, above, far]), roof, sky(128), 0.03)
    assert seen[0] < 0.1
    assert seen[1] == 1
    assert seen[2] > 0.9


def test_a_disc_overhead_hides_the_share_of_the_sky_that_geometry_says():
    generator = np.random.default_rng(0)
    radius, angle = np.sqrt(generator.random(20000)), 2 * np.pi * generator.random(20000)
    disc = np.stack([radius * np.cos(angle), np.ones(20000), radius * np.sin(angle)], axis=1)
    # a disc of half-angle 45 degrees covers sin(45)**2 of a cosine-weighted sky
    seen = visibility(np.zeros((1, 3)), disc, sky(2000), 0.02)
    assert seen[0] == pytest.approx(0.5, abs=0.03)


def test_spheres_lost_in_space_take_no_more_time_than_others():
    blockers = np.random.default_rng(0).normal(size=(200, 3))
    assert visibility(blockers, blockers, all_around(8), 1e-9).max() <= 1
