"""Pulls are gradients of mixtures of Gaussians, by autograd."""

import math

import pytest
import torch

from pointgen.geometry.pulls import means_near, pulled, towards

WIDTHS = (0.4, 0.8, 1.6)


@pytest.fixture
def clouds():
    return torch.randn(2, 12, 3), torch.randn(2, 9, 3)


def log_kernels(x, y, width):
    """log exp(-d^2 / 2h^2) (B, N, M), by differences of coordinates."""
    return -(x.unsqueeze(2) - y.unsqueeze(1)).square().sum(-1) / (2 * width**2)


def gradient(function, x):
    x = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(function(x).sum(), x)
    return found


def test_towards_is_the_gradient_of_the_density_of_the_other_cloud(clouds):
    x, y = clouds
    for found, width in zip(towards(x, y, WIDTHS[0], 3), reversed(WIDTHS), strict=True):
        expected = gradient(lambda at, h=width: log_kernels(at, y, h).logsumexp(2), x)
        torch.testing.assert_close(found[..., :3], width**2 * expected)


def test_pulled_is_the_gradient_of_the_likelihood_of_the_other_cloud(clouds):
    x, y = clouds
    for found, width in zip(pulled(x, y, WIDTHS[0], 3), reversed(WIDTHS), strict=True):
        expected = gradient(lambda at, h=width: log_kernels(at, y, h).logsumexp(1), x)
        torch.testing.assert_close(found[..., :3], width**2 * expected * (12 / 9))
        torch.testing.assert_close(found[..., 3].mean(1), torch.ones(2))


def test_the_covariance_lets_through_what_lies_in_the_surface():
    """A large square in z = 0: the way to it from above has no part within it."""
    side = torch.linspace(-3, 3, 31)
    square = torch.cartesian_prod(side, side, torch.zeros(1)).unsqueeze(0)
    above = torch.tensor([[[0.3, 0.1, 0.5]]])
    (found,) = towards(above, square, 0.4, 1)
    assert found[0, 0, 2].item() == pytest.approx(-0.5)
    torch.testing.assert_close(found[0, 0, 3:5], 0.5 * found[0, 0, :2], rtol=1e-4, atol=1e-6)
    assert found[0, 0, 5].abs() < 1e-9
    # as far as the square is, and as the kernel reaches on it
    assert found[0, 0, 6].item() == pytest.approx(math.sqrt(0.5**2 + 2 * 0.4**2), rel=1e-3)


def test_far_from_everything_the_nearest_points_remain(clouds):
    x, y = clouds
    far = x + 1e3
    nearest = torch.cdist(far, y).argmin(2)
    (found,) = towards(far, y, 1e-2, 1)
    expected = y.gather(1, nearest.unsqueeze(-1).expand(-1, -1, 3)) - far
    torch.testing.assert_close(found[..., :3], expected)
    assert pulled(far, y, 1e-2, 1)[0].isfinite().all()


def test_the_way_is_differentiated_exactly(clouds):
    x, y = clouds
    weight = torch.randn(2, 12, 3)

    def naive(at, width):
        return log_kernels(at, y, width).softmax(2) @ y - at

    for place, width in enumerate(reversed(WIDTHS)):
        found = gradient(lambda at, n=place: weight * towards(at, y, 0.4, 3)[n][..., :3], x)
        torch.testing.assert_close(found, gradient(lambda at, h=width: weight * naive(at, h), x))
    assert not pulled(x.requires_grad_(), y, 0.5, 1)[0].requires_grad


def test_means_near_are_by_a_gaussian(clouds):
    x, _ = clouds
    values = torch.randn(2, 12, 5)
    weights = log_kernels(x, x, 0.7).softmax(2)
    torch.testing.assert_close(means_near(x, values, 0.7), weights @ values)
