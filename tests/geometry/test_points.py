"""Points of clouds: those that are asked for, and their order by coordinates."""

import pytest
import torch

from pointgen.geometry.points import by_coordinates, check_clouds, take


def test_points_come_in_the_order_they_are_asked_for():
    points, places = torch.randn(3, 7, 3), torch.randint(7, (3, 10))
    expected = [cloud[chosen] for cloud, chosen in zip(points, places, strict=True)]
    assert torch.equal(take(points, places), torch.stack(expected))


def test_values_of_any_number_are_taken():
    values, places = torch.randn(2, 5, 4), torch.tensor([[4, 0], [1, 1]])
    assert torch.equal(take(values, places)[1], values[1, [1, 1]])


def test_gradients_reach_the_points_that_are_taken():
    points = torch.randn(1, 3, 3, requires_grad=True)
    take(points, torch.tensor([[2, 2]])).sum().backward()
    assert points.grad[0, :, 0].tolist() == [0, 0, 2]


def test_points_are_ordered_as_their_tuples_are():
    points = torch.randint(3, (4, 60, 3)).double()  # with many equal coordinates
    found = take(points, by_coordinates(points))
    for cloud, ordered in zip(points.tolist(), found.tolist(), strict=True):
        assert ordered == sorted(cloud)


def test_equal_points_keep_their_order():
    assert by_coordinates(torch.zeros(2, 4, 3)).tolist() == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("shape", [(4, 3), (1, 4, 2), (0, 4, 3), (1, 0, 3)])
def test_other_shapes_are_refused_by_name(shape):
    with pytest.raises(ValueError, match=r"^a: expected \(B, N, 3\) with B and N > 0, got \("):
        check_clouds("a", torch.zeros(shape))
    check_clouds("a", torch.zeros(1, 1, 3))
