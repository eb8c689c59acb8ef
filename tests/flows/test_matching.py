import math

import pytest
import torch
from torch import nn

from pointgen.flows.affine import MovingBatchNorm, Standardize
from pointgen.flows.base import Chain, Flow, StandardNormal
from pointgen.flows.continuous import CNF
from pointgen.flows.matching import around_cnf, matching_loss, stratified_times
from pointgen.flows.solver import Solver
from pointgen.networks import ResidualConfig

SOLVER = Solver(method="heun", steps=20)


class Optimal(nn.Module):
    """E[y1 - y0 | y_t] for data N(0, s^2): the field that minimises the loss."""

    def __init__(self, std):
        super().__init__()
        self.variance = std**2

    def forward(self, t, x, context):
        return x * (t * self.variance - (1 - t)) / (t**2 * self.variance + (1 - t) ** 2)


def test_stratified_times_are_one_in_each_stratum():
    t = stratified_times(50, torch.zeros(()))
    assert torch.equal((t * 50).floor().sort().values, torch.arange(50.0))
    assert not torch.equal(t.sort().values, t)


def test_the_optimal_field_carries_noise_to_the_data():
    chain = Chain([CNF(Optimal(2.0), SOLVER)])
    x = Flow(chain, StandardNormal(3)).sample((20_000,))
    assert abs(x.std() - 2) < 0.03


def test_the_optimal_field_has_the_known_loss():
    # Var[y1 - y0 | y_t] = s^2 / (t^2 s^2 + (1 - t)^2), whose mean over t is s pi / 2.
    std = 2.0
    x = std * torch.randn(200_000, 1)
    loss = matching_loss(Chain([CNF(Optimal(std), SOLVER)]), x).mean()
    assert abs(loss - std * math.pi / 2) < 0.03


def test_training_recovers_a_density():
    chain = Chain([CNF(ResidualConfig(width=32, depth=2, condition_width=32).build(1, 0), SOLVER)])
    optimizer = torch.optim.Adam(chain.parameters(), 3e-3)
    for _ in range(300):
        side = torch.randint(2, (512, 1)) * 2.0 - 1
        loss = matching_loss(chain, side + 0.2 * torch.randn(512, 1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        x = Flow(chain, StandardNormal(1)).sample((2000,))
    assert abs(x.abs().mean() - 1) < 0.1
    assert (x.abs() - 1).abs().mean() < 0.3  # two modes, not one broad one
    assert abs((x > 0).double().mean() - 0.5) < 0.1


def test_parts_of_a_cloud_have_times_of_their_own():
    seen = []

    class Spy(Optimal):
        def forward(self, t, x, context):
            seen.append((t, x.shape, context.shape))
            return super().forward(t, x, context)

    chain = Chain([CNF(Spy(1.0), SOLVER)])
    loss = matching_loss(chain, torch.randn(3, 8, 2), torch.randn(3, 1, 5), times=4)
    t, shape, context = seen[0]
    assert loss.shape == (3, 4) and shape == (3, 4, 2, 2) and context == (3, 1, 1, 5)
    assert t.shape == (3, 4, 1, 1) and len(t.unique()) == 12


def test_transforms_beside_the_cnf_are_crossed_not_trained():
    field = ResidualConfig(width=8, depth=1, condition_width=8).build(2, 0)
    chain = Chain([Standardize(2), MovingBatchNorm(2), CNF(field, SOLVER), MovingBatchNorm(2)])
    chain.transforms[0].set(torch.tensor([100.0, 0.0]), torch.tensor([10.0, 1.0]))
    matching_loss(chain, 100 + torch.randn(4, 2)).mean().backward()
    assert all(p.grad is None for p in chain.transforms[1].parameters())
    assert field.outlet.weight.grad is not None


def test_pairing_gets_noise_and_data_of_the_cnf_space():
    def pairing(noise, data):
        assert data.mean().abs() < 1
        return data  # noise on the data: nothing left to match

    chain = Chain([Standardize(2), CNF(Optimal(1.0), SOLVER)])
    chain.transforms[0].set(torch.full((2,), 50.0), torch.ones(2))
    zero = nn.Module()
    zero.forward = lambda t, x, context: torch.zeros_like(x)
    chain.transforms[1].field = zero
    assert matching_loss(chain, 50 + torch.randn(4, 6, 2), pairing=pairing).max() == 0


@pytest.mark.parametrize("count", [0, 2])
def test_matching_wants_one_cnf(count):
    with pytest.raises(ValueError, match=f"one CNF, got {count}"):
        around_cnf(Chain([CNF(Optimal(1.0), SOLVER)] * count))
