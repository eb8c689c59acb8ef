"""Surfaces through points: what they enclose, where they face, and what has none."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from pointgen.geometry.normals import outward_normals
from pointgen.geometry.surface import surface_of

pytestmark = pytest.mark.needs("open3d")
METHODS = ("poisson", "pivot", "alpha")


def drawn(mesh, count=2048, seed=0):
    """Points of a surface, and the normals of their faces."""
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=seed)
    return np.asarray(points), mesh.face_normals[faces]


def body(surface):
    return trimesh.Trimesh(*surface, process=False)


@pytest.fixture(scope="module")
def ball():
    return drawn(trimesh.creation.icosphere(4))[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_ball_is_round_and_faces_outwards(ball, method):
    if method == "alpha":  # is for what is filled
        ball = np.concatenate([ball, ball[::2] * np.linspace(0, 0.9, 1024)[:, None] ** (1 / 3)])
    surface = body(surface_of(ball, method=method))
    away = np.linalg.norm(surface.vertices, axis=1)
    assert abs(away - 1).max() < 0.05
    outwards = (surface.triangles_center * surface.face_normals).sum(axis=1) > 0
    assert outwards.mean() > 0.98
    assert abs(surface.area / (4 * np.pi) - 1) < 0.1


def test_a_ball_by_poisson_is_a_sphere(ball):
    surface = body(surface_of(ball))
    assert surface.is_watertight and surface.euler_number == 2
    assert abs(surface.volume / (4 / 3 * np.pi) - 1) < 0.03


@pytest.mark.slow
def test_many_random_points_leave_no_pinholes():
    """Somewhere 100,000 points leave a gap of several spacings, which is not to be trimmed."""
    away = np.random.default_rng(0).normal(size=(100_000, 3))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    surface = body(surface_of(away, away))
    assert surface.is_watertight and surface.euler_number == 2


def test_a_ring_keeps_its_hole():
    points, _ = drawn(trimesh.creation.torus(1.0, 0.35), 6000)
    surface = body(surface_of(points))
    assert surface.is_watertight and surface.euler_number == 0


def test_an_open_bowl_stays_open_unless_it_shall_not(ball):
    bowl = ball[ball[:, 1] < 0]
    opened, closed = body(surface_of(bowl)), body(surface_of(bowl, watertight=True))
    assert not opened.is_watertight and closed.is_watertight
    assert opened.vertices[:, 1].max() < 0.3


@pytest.mark.parametrize("method", METHODS)
def test_it_follows_scale_and_place(ball, method):
    vertices, faces = surface_of(ball[:600], method=method)
    moved, same = surface_of(1e-3 * ball[:600] + np.array([100.0, -20.0, 3.0]), method=method)
    back = (moved - [100.0, -20.0, 3.0]) / 1e-3
    assert abs(len(same) / len(faces) - 1) < 0.01  # rounding may split a cell
    assert np.quantile(cKDTree(vertices).query(back)[0], 0.99) < 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_the_same_points_in_any_order_give_the_same_surface(ball, method):
    few = ball[:600]
    first = surface_of(few, method=method)
    again = surface_of(np.concatenate([few[::-1], few[:50]]), method=method)
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))


def test_detail_is_finer():
    points, _ = drawn(trimesh.creation.icosphere(4), 12_000)
    coarse, fine = (len(surface_of(points, detail=detail)[1]) for detail in (0.25, 2.0))
    assert fine > 2 * coarse


@pytest.mark.parametrize("count", [2048, 15_000])
def test_normals_face_outwards(count):
    """Also inside a bowl with a wall, where a walk over neighbours often turns the sign."""
    outer = trimesh.creation.icosphere(4)
    solid = trimesh.creation.box((1.0, 0.3, 2.0))
    for mesh, share in ((outer, 0.999), (solid, 0.97)):
        points, truth = drawn(mesh, count)
        found = outward_normals(points)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
        assert ((found * truth).sum(axis=1) > 0).mean() > share


def test_given_normals_are_used(ball):
    """Turned inwards, they turn the surface."""
    inside_out = body(surface_of(ball, -ball))
    assert inside_out.volume < 0
    longer = surface_of(ball, 7.5 * ball)
    assert np.array_equal(longer[1], surface_of(ball, ball)[1])


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((10, 3)), "at least 4 different points, got 1"),
        (np.eye(3), "at least 4 different points, got 3"),
        (np.random.default_rng(0).normal(size=(50, 3)) * [1, 0, 1], "points of one plane"),
        (np.arange(30.0)[:, None] * np.ones(3), "points of one plane"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_what_has_no_surface_is_refused(points, message, method):
    with pytest.raises(ValueError, match=message):
        surface_of(points, method=method)


def test_what_cannot_be_is_refused(ball):
    with pytest.raises(ValueError, match="only poisson"):
        surface_of(ball, method="alpha", watertight=True)
    with pytest.raises(ValueError, match="5 of 2048 are zero"):
        surface_of(ball, np.where(np.arange(2048)[:, None] < 5, 0, ball))


def test_a_stray_point_does_not_spoil_the_rest(ball):
    surface = body(surface_of(np.concatenate([ball, [[30.0, 0.0, 0.0]]])))
    near = np.linalg.norm(surface.vertices, axis=1) < 1.5
    assert near.sum() > 500
    assert abs(np.linalg.norm(surface.vertices[near], axis=1) - 1).max() < 0.1
