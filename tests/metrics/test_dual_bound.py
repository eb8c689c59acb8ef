import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from pointgen.metrics.dual_bound import dual_bound, pyramids


def least_cost(a, b, squared=False):
    costs = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    costs = costs**2 if squared else costs
    return costs[linear_sum_assignment(costs)].mean()


def bound(a, b, *, squared=False, guess=0.1):
    first, second = pyramids(torch.stack([a, b]))
    return dual_bound(first, second, len(a), squared=squared, guess=guess)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31 - 1),
    st.sampled_from([1, 2, 3, 31, 63, 64, 129]),
    st.sampled_from([0.0, 1e-3, 0.3, 100.0]),
    st.booleans(),
)
def test_never_above_the_least_cost(seed, points, guess, squared):
    generator = torch.Generator().manual_seed(seed)
    a, b = 2 * torch.rand(2, points, 3, generator=generator) - 1
    true = least_cost(a, b, squared)
    assert bound(a, b, squared=squared, guess=guess) <= true


@pytest.mark.parametrize("squared", [False, True])
def test_comes_near_the_least_cost(squared):
    a, b = torch.rand(2, 700, 3) * torch.tensor([[[1.0, 0.3, 0.1]], [[0.8, 0.4, 0.1]]])
    true = least_cost(a, b, squared)
    assert bound(a, b, squared=squared, guess=true / 2) > (0.75 if squared else 0.85) * true


def test_a_cloud_is_at_no_distance_from_itself():
    a = torch.rand(200, 3)
    assert -1e-4 < bound(a, a[torch.randperm(200)]) <= 0


def test_equal_points():
    a = torch.zeros(64, 3)
    assert bound(a, a) <= 0
    assert bound(a, a + 0.5) == pytest.approx(0.75**0.5, rel=1e-4)


def test_levels_are_means_of_neighbours():
    clouds = torch.rand(3, 131, 3)
    found = torch.from_numpy(pyramids(clouds)).double().mT
    assert found.shape == (3, 131 // 8 + 131 // 4 + 131, 3)
    points, fours = found[:, -131:], found[:, -131 - 32 : -131]
    for cloud, same in zip(clouds, points, strict=True):
        assert torch.allclose(cloud.sort(dim=0).values, same.sort(dim=0).values, atol=1e-7)
    assert torch.allclose(points[:, :128].unflatten(1, (32, 4)).mean(2), fours, atol=1e-6)
    # Neighbours: much nearer than any two points.
    near = (points[:, 0:130:2] - points[:, 1:130:2]).norm(dim=2).mean()
    assert near < (points[:, :65] - points[:, 65:130]).norm(dim=2).mean() / 2
