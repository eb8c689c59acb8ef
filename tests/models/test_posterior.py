"""q(z | X): its draws have the density that it reports, whatever flow they go through."""

import math

import pytest
import torch
from pydantic import TypeAdapter

from pointgen.flows.base import StandardNormal
from pointgen.models.flows import FlowConfig, build_sampler
from pointgen.models.posterior import Posterior

KINDS = ["planar", "radial", "sylvester", "nice", "realnvp", "glow", "iaf", "spline"]
MEAN, LOG_VAR = torch.tensor([[0.5, -1.0]]).double(), torch.tensor([[-0.5, 0.3]]).double()


def bent(kind):
    flow = build_sampler(TypeAdapter(FlowConfig).validate_python({"kind": kind}), 2, 2).eval()
    for parameter in flow.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return Posterior(MEAN, LOG_VAR, flow, torch.tensor([[1.0, -2.0]]))


def test_a_gaussian_is_that_of_torch():
    posterior = Posterior(MEAN, LOG_VAR)
    normal = torch.distributions.Normal(MEAN, (0.5 * LOG_VAR).exp())
    noise = torch.distributions.Normal(torch.zeros(1, 2), 1.0)
    code, log_q = posterior.draw()
    torch.testing.assert_close(log_q, normal.log_prob(code).sum(-1))
    torch.testing.assert_close(posterior.entropy(log_q), normal.entropy().sum(-1))
    divergence = torch.distributions.kl_divergence(normal, noise).sum(-1)
    torch.testing.assert_close(posterior.divergence(code, log_q), divergence)
    assert torch.equal(posterior.centre(), MEAN)


def test_one_code_has_no_density():
    code, log_q = Posterior(MEAN, None).draw()
    assert torch.equal(code, MEAN) and log_q is None


@pytest.mark.parametrize("kind", KINDS)
def test_draws_through_a_flow_have_the_density_they_report(kind):
    """The mean of p / q over draws of q is 1 for every density p, so q is one, and theirs."""
    drawn = bent(kind).fixed(40_000)
    with torch.no_grad():
        code, log_q = drawn.draw(torch.Generator().manual_seed(0))
    wide = torch.distributions.Normal(code.mean(0), 0.7 * code.std(0))
    ratio = (wide.log_prob(code).sum(-1) - log_q).exp()
    error = ratio.std() / math.sqrt(len(ratio))
    assert error < 0.03 and abs(ratio.mean() - 1) < 4 * error


@pytest.mark.parametrize("kind", KINDS)
def test_estimates_of_a_flow_are_those_of_its_density(kind):
    posterior = bent(kind)
    code, log_q = posterior.draw()
    assert torch.equal(posterior.entropy(log_q), -log_q)
    expected = log_q - StandardNormal(2).log_prob(code)
    torch.testing.assert_close(posterior.divergence(code, log_q), expected)
    torch.testing.assert_close(posterior.centre(), posterior.flow.inverse(MEAN, posterior.context))
