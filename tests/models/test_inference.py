"""Codes that a damaged cloud may be of: likelier than where the search starts, and ranked."""

import pytest
import torch

from pointgen.flows.solver import Solver
from pointgen.models import PointFlowConfig
from pointgen.models.cnf import CnfConfig
from pointgen.models.coupling import GlowConfig, RealNvpConfig
from pointgen.models.flows import NoPrior
from pointgen.models.inference import likely_codes
from pointgen.networks import FilmConfig, PointNetConfig, ResidualConfig

ENCODER = PointNetConfig(widths=(8, 16), head=(8,))
NETWORK = FilmConfig(width=16, depth=1)
COUPLINGS = PointFlowConfig(
    code_dim=3,
    encoder=ENCODER,
    points=RealNvpConfig(layers=4, network=NETWORK),
    prior=GlowConfig(layers=2, network=NETWORK),
)
FIXED = Solver(method="midpoint", steps=8)
LEVEL = CnfConfig(
    field=ResidualConfig(width=8, depth=1, condition_width=8),
    sampler=FIXED,
    solver=FIXED,
    divergence="exact",
)
ODES = PointFlowConfig(objective="matching", code_dim=3, encoder=ENCODER, points=LEVEL, prior=LEVEL)


def built(config):
    model = config.build()
    for parameter in model.parameters():  # the last layers begin at zero: all codes are alike
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model.eval()


def found(model, points, **options):
    return likely_codes(model, points, generator=torch.Generator().manual_seed(0), **options)


@pytest.fixture(params=[COUPLINGS, ODES], ids=["couplings", "ODEs"])
def model(request):
    return built(request.param)


def test_the_search_climbs_and_ranks(model):
    points = 0.5 * torch.randn(1, 30, 3)
    before, after = (found(model, points, starts=4, steps=steps) for steps in (0, 10))
    assert after.log_prob.mean() > before.log_prob.mean() + 1
    for some in (before, after):
        assert torch.equal(some.log_prob, some.log_prob.sort(descending=True).values)
    assert after.codes.shape == (4, 3)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_is_told_of_a_code_is_its_own(model):
    points = 0.5 * torch.randn(1, 30, 3)
    some = found(model, points, starts=3, steps=8)
    expected = model.log_prob(points.expand(3, -1, -1), some.codes)
    torch.testing.assert_close(some.log_points, expected)
    noise, _ = model.prior.transform(some.codes)
    torch.testing.assert_close(
        some.log_noise, model.prior.base.log_prob(noise), rtol=1e-2, atol=1e-2
    )


def test_one_start_is_the_encoders_code():
    model = built(COUPLINGS)
    points = torch.randn(1, 30, 3)
    some = found(model, points, starts=1, steps=0)
    torch.testing.assert_close(some.codes, model.encode(points))


def test_it_is_as_likely_as_the_code_that_made_the_cloud():
    model = built(COUPLINGS)
    with torch.no_grad():
        noise = torch.randn(1, 3)
        codes = model.prior.transform.inverse(noise)
        points = model.decode(codes, 200)
        own = model.prior.base.log_prob(noise) + model.log_prob(points, codes)
    best = found(model, points, starts=4, steps=150).log_prob[0]
    assert best >= own.item() - 0.5


def test_without_a_prior_there_is_nothing_to_climb():
    model = built(COUPLINGS.model_copy(update={"prior": NoPrior()}))
    with pytest.raises(ValueError, match="no prior over codes"):
        found(model, torch.randn(1, 9, 3), starts=1)
