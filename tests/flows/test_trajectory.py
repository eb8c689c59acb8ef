"""The way of noise to data, watched."""

import pytest
import torch

from pointgen.flows.affine import Standardize
from pointgen.flows.base import Chain
from pointgen.flows.continuous import CNF
from pointgen.flows.solver import Solver
from pointgen.flows.trajectory import trajectory
from pointgen.networks import ResidualConfig


class Straight(torch.nn.Module):
    """Everything drifts at one velocity."""

    def __init__(self, velocity):
        super().__init__()
        self.velocity = velocity

    def forward(self, t, x, context):
        return torch.full_like(x, self.velocity)


def units(mean, std):
    transform = Standardize(3)
    transform.set(torch.full((3,), mean), torch.full((3,), std))
    return transform


def test_frames_are_at_equal_times_and_in_data_units():
    noise = torch.randn(2, 5, 3)
    chain = Chain([units(10.0, 2.0), CNF(Straight(4.0), Solver(method="euler", steps=1))])
    way = trajectory(chain, noise, None, 5)
    assert way.shape == (2, 5, 5, 3)
    for number in range(5):
        torch.testing.assert_close(way[:, number], 10 + 2 * (noise + number))


def test_flows_in_a_row_share_the_frames_and_end_where_the_inverse_does():
    torch.manual_seed(0)
    solver = Solver(method="midpoint", steps=6)
    flows = [CNF(ResidualConfig(width=16, depth=1).build(3, 4), solver) for _ in range(2)]
    chain = Chain([units(1.0, 3.0), flows[0], units(0.5, 0.5), flows[1]])
    noise, context = torch.randn(2, 7, 3), torch.randn(2, 1, 4)
    with torch.no_grad():
        way = trajectory(chain, noise, context, 7)
        torch.testing.assert_close(way[:, -1], chain.inverse(noise, context))
        half = flows[1].inverse(noise, context)
        second = Chain([chain.transforms[0], chain.transforms[2]])
        torch.testing.assert_close(way[:, 3], second.inverse(half, context))


def test_an_entry_that_cannot_be_solved_is_nan_and_spares_its_neighbours():
    class Explodes(torch.nn.Module):
        def forward(self, t, x, context):
            return torch.where(x.abs() > 5, x * float("inf"), torch.ones_like(x))

    noise = torch.zeros(2, 4, 3)
    noise[1] = 9
    way = trajectory(CNF(Explodes(), Solver()), noise, None, 3)
    torch.testing.assert_close(way[0, :, 0, 0], torch.tensor([0.0, 0.5, 1.0]))
    assert way[1].isnan().all()


def test_what_has_no_flow_time_is_refused():
    with pytest.raises(ValueError, match="no continuous flow"):
        trajectory(Chain([units(0.0, 1.0)]), torch.zeros(1, 2, 3), None, 5)
    with pytest.raises(ValueError, match="at least 2"):
        trajectory(CNF(Straight(1.0), Solver()), torch.zeros(1, 2, 3), None, 1)
