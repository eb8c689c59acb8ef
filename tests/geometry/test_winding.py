"""Normals by the winding number: its sums, where normals face, and thin walls."""

import numpy as np
import pytest
import trimesh
from scipy.stats import ortho_group

from pointgen.geometry.winding import _adjoint, _fall, _winding, winding_normals


def drawn(mesh, count=1500, seed=0):
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=seed)
    return np.asarray(points), mesh.face_normals[faces]


def right(found, truth):
    return float(((found * truth).sum(axis=1) > 0).mean())


@pytest.fixture
def few():
    rng = np.random.default_rng(0)
    points, areas, values = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)), rng.normal(size=40)
    offsets = points[None] - points[:, None]  # (N, N, 3)
    distance = np.linalg.norm(offsets, axis=2) + np.eye(40)
    return points, areas, values, offsets, distance


def test_sums_by_products_are_the_sums(few):
    points, areas, values, offsets, distance = few
    near, far = distance**-3, distance**-5
    flux = (offsets * areas).sum(axis=2)  # a_j d
    winding = (flux * near).sum(axis=1) / (4 * np.pi)
    np.testing.assert_allclose(_winding(near, points, areas), winding)
    adjoint = -(offsets * (near * values[None])[..., None]).sum(axis=1) / (4 * np.pi)
    np.testing.assert_allclose(_adjoint(near, points, values), adjoint)
    assert np.isclose((_adjoint(near, points, values) * areas).sum(), values @ winding)
    fall = near @ areas - 3 * (offsets * (flux * far)[..., None]).sum(axis=1)
    np.testing.assert_allclose(_fall(near, far, points, areas), fall)


def test_the_fall_is_that_of_the_winding_number(few):
    points, areas, _, _, _ = few
    place, step = np.array([0.3, -0.2, 0.1]), 1e-6

    def number(at):
        offsets = points - at
        return ((offsets * areas).sum(axis=1) / np.linalg.norm(offsets, axis=1) ** 3).sum()

    slope = [(number(place + step * e) - number(place - step * e)) / (2 * step) for e in np.eye(3)]
    everything = np.concatenate([[place], points])
    distance = np.linalg.norm(points - place, axis=1)
    near, far = np.zeros((41, 41)), np.zeros((41, 41))
    near[0, 1:], far[0, 1:] = distance**-3, distance**-5
    found = _fall(near, far, everything, np.concatenate([np.zeros((1, 3)), areas]))[0]
    np.testing.assert_allclose(found, -np.array(slope), rtol=1e-6)


@pytest.mark.parametrize(
    ("mesh", "share"),
    [
        (trimesh.creation.icosphere(4), 0.999),
        (trimesh.creation.torus(1.0, 0.35), 0.999),
        (trimesh.creation.box((1.0, 0.06, 1.0)), 0.99),  # a plate of 3 spacings
        (trimesh.creation.annulus(0.45, 0.5, 0.6), 0.98),  # a pipe, its wall 2 spacings
    ],
    ids=["ball", "ring", "plate", "pipe"],
)
def test_normals_face_outwards(mesh, share):
    points, truth = drawn(mesh)
    found = winding_normals(points)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    assert right(found, truth) > share


def test_noise_does_not_turn_them():
    points, truth = drawn(trimesh.creation.icosphere(4))
    noisy = points + 0.02 * np.random.default_rng(0).normal(size=points.shape)
    assert right(winding_normals(noisy), truth) > 0.97


def test_it_follows_scale_place_and_turn():
    points, _ = drawn(trimesh.creation.torus(1.0, 0.35), 600)
    turn = ortho_group(3, seed=0).rvs()
    turn *= np.linalg.det(turn)
    moved = winding_normals(1e-4 * points @ turn.T + np.array([3.0, -2.0, 1.0]))
    cosine = (moved * (winding_normals(points) @ turn.T)).sum(axis=1)
    assert np.quantile(cosine, 0.01) > 0.99 and (cosine > 0).all()


def test_two_bodies_both_face_outwards():
    mesh = trimesh.creation.icosphere(3) + trimesh.creation.icosphere(3).apply_translation(
        [5, 0, 0]
    )
    points, truth = drawn(mesh)
    assert right(winding_normals(points), truth) > 0.999
