import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from pointgen.metrics.bounds import profile_bounds, profiles


def least_costs(a, b, squared):
    costs = torch.cdist(a.unsqueeze(1), b, compute_mode="donot_use_mm_for_euclid_dist")
    costs = costs.square() if squared else costs
    return torch.stack(
        [torch.stack([c[linear_sum_assignment(c.numpy())].mean() for c in row]) for row in costs]
    )


def bounds(a, b, squared=False):
    first, second = (profiles(clouds.numpy(), squared=squared) for clouds in (a, b))
    return torch.from_numpy(profile_bounds(first, second, squared=squared))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31 - 1),
    st.sampled_from([1, 2, 7, 33, 64, 100]),
    st.sampled_from([1e-6, 1.0, 1e6]),
    st.booleans(),
)
def test_never_above_the_least_cost(seed, points, scale, squared):
    generator = torch.Generator().manual_seed(seed)
    a = scale * torch.randn(3, points, 3, generator=generator)
    b = scale * torch.randn(2, points, 3, generator=generator) * torch.rand(3, generator=generator)
    found, true = bounds(a, b, squared), least_costs(a, b, squared)
    assert found.shape == (3, 2)
    assert (found <= true * (1 + 1e-10)).all()
    assert torch.allclose(bounds(b, a, squared), found.mT, rtol=1e-12)


def test_sees_where_the_masses_are():
    # Only moved: whatever the direction, a line within some degrees of it sees nearly all.
    a = torch.randn(1, 100, 3) / 4
    moves = torch.nn.functional.normalize(torch.randn(20, 1, 3), dim=2)
    assert (bounds(a, a + moves) > 0.95).all()
    assert (bounds(a, a + moves, squared=True) > 0.9).all()


def test_sees_spread_about_one_mean():
    # Shells of radius 1 and 2: every point has to move by 1.
    shell = torch.nn.functional.normalize(torch.randn(1, 1000, 3), dim=2)
    assert 0.45 < bounds(shell, 2 * shell).item() <= 1


@pytest.mark.parametrize("squared", [False, True])
def test_order_of_points_does_not_matter(squared):
    a = torch.rand(4, 50, 3)
    assert bounds(a, a[:, torch.randperm(50)], squared).diagonal().max() < 1e-15
