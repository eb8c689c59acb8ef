import numpy as np
import pytest
import torch

from pointgen.geometry.sampling import (
    farthest_points,
    resample,
    sample_surface,
    spots_on,
    values_at,
)

# A square of area 4 in the plane z = 0, and one triangle of area 1 in z = 1.
VERTICES = np.array(
    [[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [0, 0, 1], [2, 0, 1], [0, 1, 1]], dtype=float
)
FACES = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6]])


def farthest_points_naive(points: torch.Tensor, count: int) -> list[int]:
    """One cloud (N, 3), by the definition."""
    chosen = [0]
    while len(chosen) < count:
        gaps = [
            -1.0 if i in chosen else min(float((p - points[c]).square().sum()) for c in chosen)
            for i, p in enumerate(points)
        ]
        chosen.append(gaps.index(max(gaps)))
    return chosen


def test_surface_is_sampled_by_area():
    points = sample_surface(VERTICES, FACES, 20_000, np.random.default_rng(0))
    assert points.shape == (20_000, 3)
    assert points.dtype == np.float32
    on_square = points[:, 2] == 0
    assert abs(on_square.mean() - 0.8) < 5 * np.sqrt(0.8 * 0.2 / 20_000)
    assert (on_square | (points[:, 2] == 1)).all()


def test_surface_density_is_even_inside_a_face():
    points = sample_surface(VERTICES, FACES[:2], 40_000, np.random.default_rng(0))
    cells, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=5, range=[[0, 2], [0, 2]])
    expected = 40_000 / 25
    # Chi-square with 24 degrees of freedom: mean 24, standard deviation 7.
    assert ((cells - expected) ** 2 / expected).sum() < 24 + 5 * 7


def test_surface_draws_follow_the_generator():
    first, again = (sample_surface(VERTICES, FACES, 9, np.random.default_rng(3)) for _ in "ab")
    assert np.array_equal(first, again)


def test_a_linear_value_of_the_vertices_is_that_of_the_points():
    points = sample_surface(VERTICES, FACES, 99, np.random.default_rng(3))
    slope = np.array([[1.0, 5.0], [-2.0, 0.5], [3.0, 0.0]])
    spots = spots_on(VERTICES, FACES, 99, np.random.default_rng(3))
    values = values_at(spots, VERTICES @ slope + 7)
    np.testing.assert_allclose(values, points @ slope + 7, atol=1e-5)


def test_faces_without_area_get_no_points():
    faces = np.array([[0, 0, 1], [0, 1, 2], [4, 4, 4]])
    points = sample_surface(VERTICES, faces, 1000, np.random.default_rng(0))
    assert (points[:, 1] <= points[:, 0] + 1e-6).all()
    assert (points[:, 1] > 0).all()


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (VERTICES, FACES[:0], "faces"),
        (VERTICES[:, :2], FACES, "vertices"),
        (VERTICES, FACES.astype(float), "integers"),
        (VERTICES, FACES + 1, "from 0 to 6"),
        (VERTICES, FACES - 1, "from 0 to 6"),
        (VERTICES * np.nan, FACES, "NaN"),
        (VERTICES * 0, FACES, "area"),
        (VERTICES, FACES[:, :1].repeat(3, axis=1), "area"),
    ],
)
def test_bad_meshes(vertices, faces, message):
    with pytest.raises(ValueError, match=message):
        sample_surface(vertices, faces, 10, np.random.default_rng(0))


def test_unused_bad_vertices_do_no_harm():
    vertices = np.concatenate([VERTICES, [[np.nan] * 3]])
    points = sample_surface(vertices, FACES, 10, np.random.default_rng(0))
    assert np.isfinite(points).all()


def test_resample_takes_a_subset_without_repetition():
    points = np.arange(30.0).reshape(10, 3)
    for count in (1, 7, 10):
        chosen = resample(points, count, np.random.default_rng(0))
        assert len(np.unique(chosen, axis=0)) == count
        assert {tuple(p) for p in chosen} <= {tuple(p) for p in points}


@pytest.mark.parametrize("count", [0, 11])
def test_resample_never_invents_points(count):
    with pytest.raises(ValueError, match="1 to 10"):
        resample(np.zeros((10, 3)), count, np.random.default_rng(0))


def test_farthest_points_equal_the_naive_twin():
    points = torch.randn(3, 60, 3)
    assert farthest_points(points, 20).tolist() == [farthest_points_naive(p, 20) for p in points]


def test_farthest_points_of_a_square_are_its_corners():
    corners = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    inner = (torch.rand(1, 50, 3) * 0.2 + 0.4) * torch.tensor([1, 1, 0])
    points = torch.cat([torch.tensor([corners], dtype=inner.dtype), inner], dim=1)
    assert sorted(farthest_points(points, 4)[0].tolist()) == [0, 1, 2, 3]


def test_farthest_points_are_distinct_even_for_equal_points():
    assert farthest_points(torch.zeros(2, 6, 3), 6).sort(dim=1).values.tolist() == [[*range(6)]] * 2


def test_farthest_points_errors():
    with pytest.raises(ValueError, match="points"):
        farthest_points(torch.zeros(6, 3), 2)
    with pytest.raises(ValueError, match="count: expected 1 to 6, got 7"):
        farthest_points(torch.zeros(1, 6, 3), 7)
