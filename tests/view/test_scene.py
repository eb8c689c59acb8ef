"""What a window shows, without a window."""

import numpy as np
import pytest

from pointgen.view.clouds import Shape, as_shapes
from pointgen.view.palette import by_label, by_value, colour
from pointgen.view.scene import Scene

BACK = np.array([0.0, 0.0, 1.0])


@pytest.fixture
def scene(torus, chair):
    noise = np.random.default_rng(0).normal(size=torus.shape)
    triangle = (np.eye(3), np.array([[0, 1, 2]]))
    red = np.broadcast_to((1.0, 0.0, 0.0), chair.shape)
    shapes = [Shape(torus, frames=np.stack([noise, torus])), Shape(chair, red)]
    return Scene(as_shapes([*shapes, Shape(torus, surface=triangle)]), ["torus", "chair", ""])


def test_shapes_are_shown_one_after_the_other_and_then_all(scene):
    seen = []
    for _ in range(4):
        seen.append(scene.shown)
        scene.show(scene.shown + 1)
    assert seen == [-1, 0, 1, 2] and scene.shown == -1
    scene.show(scene.shown - 1)
    assert scene.shown == 2


def test_colours_of_ones_own_come_first_and_again_after_all_palettes(scene):
    scene.show(1)
    seen = []
    for _ in range(6):
        seen.append(scene.palette)
        colours = scene.clouds(BACK)[0][1]
        assert ((colours == (1, 0, 0)).all()) == (scene.palette is None)
        scene.next_palette()
    assert seen == [None, "position", "height", "depth", "plain", None]


def test_the_slider_moves_points_and_its_mark(scene):
    scene.show(0)
    end = [points for points, _ in scene.clouds(BACK)]
    for _ in range(30):
        scene.tick(-1)
    begin = [points for points, _ in scene.clouds(BACK)]
    assert scene.time == 0
    moved = [np.abs(first - last).max() > 1e-6 for first, last in zip(begin, end, strict=True)]
    assert moved == [True, False, False, True]  # points, caption, line, mark
    for _ in range(20):
        scene.tick(1)
    assert scene.time == 1
    assert np.array_equal(scene.clouds(BACK)[0][0], end[0])


def test_surfaces_take_the_place_of_their_points(scene):
    scene.show(2)
    assert len(scene.meshes(BACK)) == 1
    without = len(scene.clouds(BACK))
    scene.surfaces = False
    assert scene.meshes(BACK) == []
    assert len(scene.clouds(BACK)) == without + 1


def test_a_surface_has_the_colours_of_its_points_first(torus):
    points = np.array([[0.9, 0, 0], [0, 0.9, 0], [0, 0, 0.9]])
    surface = Shape(points, np.eye(3), surface=(np.eye(3), np.array([[0, 1, 2]])))
    scene = Scene(as_shapes([surface]), [""])
    assert (scene.meshes(BACK)[0][2] == np.eye(3)).all()
    scene.next_palette()
    assert not (scene.meshes(BACK)[0][2] == np.eye(3)).all()


def test_depth_follows_the_camera_and_values_share_a_scale():
    points = np.random.default_rng(0).normal(size=(50, 3))
    for back in np.eye(3):
        brightness = colour(points, "depth", back).sum(axis=1)
        order = np.argsort(points @ back)
        assert (np.diff(brightness[order]) > 0).mean() > 0.95
    low, high = by_value([np.array([0.0, 1.0]), np.array([1.0, 2.0])])
    assert np.array_equal(low[1], high[0]) and not np.array_equal(low[0], high[0])
    first, second = by_label([np.array([3, 3, 7]), np.array([7])])
    assert np.array_equal(first[2], second[0]) and not np.array_equal(first[0], first[2])
