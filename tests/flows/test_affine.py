import pytest
import torch

from pointgen.flows.affine import EPSILON, MovingBatchNorm, Standardize


def test_moving_statistics_are_per_axis_over_all_points():
    norm = MovingBatchNorm(3)
    x = torch.tensor([10.0, 20.0, 30.0]) + torch.tensor([1.0, 2.0, 5.0]) * torch.randn(64, 50, 3)
    for _ in range(200):
        norm(x)
    torch.testing.assert_close(norm.running_mean, x.mean((0, 1)))
    torch.testing.assert_close(norm.running_var, x.flatten(0, 1).var(0))


def test_moving_batch_norm_uses_the_statistics_before_the_batch():
    norm = MovingBatchNorm(2)
    x = 5 + torch.randn(100, 2)
    z, ladj = norm(x)
    torch.testing.assert_close(z, x / (1 + EPSILON) ** 0.5)
    assert ladj.shape == (100,)
    assert (norm.running_mean > 0.4).all()


def test_eval_mode_and_inverse_leave_the_statistics_alone():
    norm = MovingBatchNorm(2).eval()
    norm(5 + torch.randn(100, 2))
    norm.train().inverse(torch.randn(100, 2))
    assert torch.equal(norm.running_mean, torch.zeros(2))


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_units_must_be_positive_and_finite(bad):
    with pytest.raises(ValueError, match="units"):
        Standardize(3).set(torch.zeros(3), torch.tensor([1.0, 1.0, bad]))
