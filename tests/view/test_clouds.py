import numpy as np
import pytest
import torch

from pointgen.view.clouds import Shape, as_shapes, bounds, check_captions, grid_shape


@pytest.mark.parametrize("make", [np.zeros, torch.zeros])
def test_one_cloud_a_batch_and_a_list_are_all_clouds(make):
    shape = (5, 3)
    assert [c.points.shape for c in as_shapes(make(shape))] == [shape]
    assert [c.points.shape for c in as_shapes(make((2, *shape)))] == [shape] * 2
    assert [c.points.shape for c in as_shapes([make(shape), make((7, 3))])] == [shape, (7, 3)]
    assert all(c.points.dtype == np.float32 for c in as_shapes(make((2, *shape))))


def test_a_tensor_with_a_gradient_can_be_shown():
    assert as_shapes(torch.ones(2, 4, 3, requires_grad=True))[1].points.sum() == 12


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (np.full((4, 3), np.nan), r"clouds\[1\]: 4 of 4 points are not finite"),
        (np.full((4, 3), 1e300), r"clouds\[1\]: 4 of 4 points are not finite"),
        (np.zeros((0, 3)), r"clouds\[1\]: expected at least one point"),
        (np.zeros((4, 2)), r"clouds\[1\]: expected \(N, 3\)"),
        (np.array([["a", "b", "c"]]), r"clouds\[1\]: expected \(N, 3\)"),
    ],
)
def test_the_error_names_the_cloud(broken, message):
    with pytest.raises(ValueError, match=message):
        as_shapes([np.zeros((4, 3)), broken])


def test_colours_ways_and_surfaces_come_along_and_must_fit():
    points = torch.rand(5, 3)
    triangle = (np.eye(3), np.array([[0, 1, 2]]))
    shape = Shape(points, np.full((5, 3), 2.0), torch.stack([points + 1, points]), triangle)
    (checked,) = as_shapes(shape)
    assert checked.colours.max() == 1
    assert checked.frames.shape == (2, 5, 3)
    assert checked.surface[0].dtype == np.float32
    with pytest.raises(ValueError, match=r"clouds\[0\].colours: expected .* \(5, 3\)"):
        as_shapes(Shape(points, np.zeros((4, 3))))
    with pytest.raises(ValueError, match=r"clouds\[1\].frames"):
        as_shapes([points, Shape(points, frames=np.full((2, 5, 3), np.nan))])


def test_no_cloud_is_an_error():
    with pytest.raises(ValueError, match="at least one cloud"):
        as_shapes([])


def test_there_is_one_caption_for_each_cloud():
    assert check_captions(None, 2) == ["", ""]
    assert check_captions(("a", "b"), 2) == ["a", "b"]
    for captions in (["a"], "ab"):
        with pytest.raises(ValueError, match="captions: expected 2"):
            check_captions(captions, 2)


def test_every_cloud_has_a_cell_and_no_row_is_empty():
    for count in range(1, 50):
        for wanted in (None, 1, 3, 100):
            rows, columns = grid_shape(count, wanted)
            assert (rows - 1) * columns < count <= rows * columns
            assert wanted is None or columns <= wanted
    with pytest.raises(ValueError, match="columns"):
        grid_shape(3, 0)


def test_bounds_of_one_place_have_a_side():
    centre, side = bounds(np.full((3, 3), 2.0))
    assert (centre == 2).all() and side == 1
