import pytest
import torch
from torch import nn

from pointgen.flows.continuous import CNF
from pointgen.flows.guidance import guided
from pointgen.flows.solver import Solver


class Towards(nn.Module):
    """Moves everything by its context."""

    def forward(self, t, x, context):
        return context.expand_as(x)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, 3.0])
def test_a_sample_goes_so_far_beyond_the_unconditional_one(weight):
    cnf = CNF(Towards(), Solver(method="euler", steps=2))
    given, nothing, z = torch.randn(3, 5, 2)
    with guided(weight, cnf):
        x = cnf.inverse(z, torch.stack([given, nothing], dim=1))
    torch.testing.assert_close(x, z + nothing + weight * (given - nothing))
    torch.testing.assert_close(cnf.inverse(z, given), z + given)  # afterwards all is as before
