import numpy as np
import pytest
import torch

from pointgen.geometry.frames import Frame, per_shape_frame

KINDS = ["shape_unit", "shape_bbox", "shape_std"]


@pytest.fixture
def points() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 3)) * [3, 1, 0.2] + [10, -5, 100]


def test_unit_frame(points):
    placed = per_shape_frame(points, "shape_unit").apply(points)
    assert np.allclose(placed.mean(axis=0), 0)
    assert np.isclose(np.linalg.norm(placed, axis=1).max(), 1)


def test_box_frame(points):
    placed = per_shape_frame(points, "shape_bbox").apply(points)
    low, high = placed.min(axis=0), placed.max(axis=0)
    assert np.allclose(low, -high)
    assert np.isclose(high.max(), 1)


def test_std_frame(points):
    placed = per_shape_frame(points, "shape_std").apply(points)
    assert np.allclose(placed.mean(axis=0), 0)
    assert np.isclose(placed.std(), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_undo_is_the_inverse_for_arrays_and_tensors(points, kind):
    frame = per_shape_frame(points, kind)
    assert np.allclose(frame.undo(frame.apply(points)), points)
    tensor = torch.from_numpy(points).view(4, 50, 3)
    assert torch.allclose(frame.undo(frame.apply(tensor)), tensor)
    assert np.allclose(frame.apply(tensor).numpy().reshape(-1, 3), frame.apply(points))


@pytest.mark.parametrize("kind", KINDS)
def test_precision_is_kept(points, kind):
    frame = per_shape_frame(points.astype(np.float32), kind)
    assert frame.apply(points.astype(np.float32)).dtype == np.float32
    assert frame.undo(torch.zeros(5, 3, dtype=torch.float32)).dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0.0, 0.1, 1e6])
def test_coinciding_points_have_no_frame(kind, place):
    with pytest.raises(ValueError, match="coincide"):
        per_shape_frame(np.full((7, 3), place), kind)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((0, 3)), r"\(0, 3\)"),
        (np.zeros((5, 2)), r"\(5, 2\)"),
        (np.array([[0, 0, 0], [1, np.nan, 0]]), "NaN"),
    ],
)
def test_bad_points(bad, message):
    with pytest.raises(ValueError, match=message):
        per_shape_frame(bad, "shape_unit")


def test_unknown_kind_and_bad_values():
    with pytest.raises(ValueError, match="kind"):
        per_shape_frame(np.eye(3), "unit")
    with pytest.raises(ValueError, match="scale"):
        Frame(np.zeros(3), 0.0)
    with pytest.raises(ValueError, match="center"):
        Frame(np.zeros(2), 1.0)
