"""Every flow that a level can choose learns a density, with a context and without."""

import math

import pytest
import torch
from pydantic import TypeAdapter
from zuko.nn import MaskedMLP

from pointgen.flows.base import Flow, StandardLogistic, StandardNormal
from pointgen.models.flows import FlowConfig, GaussianConfig, build_flow, build_sampler

NET = {"width": 32, "depth": 1}
FIELD = {"kind": "concatsquash", "dims": [32, 32]}
STEPS = {"method": "midpoint", "steps": 6}
FLOWS = {
    "planar": {"kind": "planar", "layers": 12},
    "radial": {"kind": "radial", "layers": 24},
    "sylvester": {"kind": "sylvester", "layers": 8},
    "nice": {"kind": "nice", "layers": 6, "network": NET},
    "nice_normal": {"kind": "nice", "layers": 6, "network": NET, "base": "normal"},
    "realnvp": {"kind": "realnvp", "layers": 6, "network": NET},
    "glow": {"kind": "glow", "layers": 4, "network": NET},
    "maf": {"kind": "maf", "layers": 3, "width": 32},
    "iaf": {"kind": "iaf", "layers": 3, "width": 32},
    "gated_iaf": {"kind": "iaf", "layers": 3, "width": 32, "gated": True},
    "spline": {"kind": "spline", "layers": 4, "network": NET},
    "cnf": {"kind": "cnf", "batch_norm": False, "field": FIELD, "solver": STEPS},
}
RATES = {"planar": 0.03, "sylvester": 0.03, "radial": 0.1}  # of learning; else 0.01
BEND, WIDTH = 0.6, 0.5


@pytest.fixture(params=FLOWS, ids=str)
def config(request):
    return TypeAdapter(FlowConfig).validate_python(FLOWS[request.param])


def banana(count, context):
    """Draw x1 ~ N(0, 1), x2 ~ N(context * BEND (x1^2 - 1), WIDTH^2); with their log-density."""
    first, noise = torch.randn(2, count)
    x = torch.stack([first, context[:, 0] * BEND * (first**2 - 1) + WIDTH * noise], dim=-1)
    log_prob = -0.5 * (first**2 + noise**2) - math.log(2 * math.pi * WIDTH)
    return x, log_prob


def test_it_recovers_a_density_and_heeds_its_context(config):
    """A bend that the context turns over; the best Gaussian is 0.68 nats away."""
    flow = build_flow(config, 2, 1)
    optimizer = torch.optim.Adam(flow.parameters(), RATES.get(config.kind, 0.01))
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.1, 250)
    for _ in range(250):
        context = 1.0 - 2.0 * (torch.arange(256) % 2).unsqueeze(1)
        loss = -flow.log_prob(banana(256, context)[0], context).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    flow.eval()
    with torch.no_grad():
        context = torch.ones(2000, 1)
        x, truth = banana(2000, context)
        right, wrong = flow.log_prob(x, context), flow.log_prob(x, -context)
    assert (truth - right).mean() < 0.12
    assert (right - wrong).mean() > 1.0


def test_every_parameter_gets_a_gradient(config):
    flow = build_flow(config, 3, 2)
    for parameter in flow.parameters():
        parameter.data += 0.03 * torch.randn_like(parameter)
    flow.log_prob(torch.randn(64, 3), torch.randn(64, 2)).sum().backward()
    for name, parameter in flow.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_each_number_comes_to_depend_on_all(config):
    flow = build_flow(config, 5, 0).eval()
    for parameter in flow.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    x = torch.randn(5)
    jacobian = torch.autograd.functional.jacobian(lambda y: flow.transform(y)[0], x)
    assert (jacobian != 0).all()


def test_a_sampler_draws_without_a_search(config):
    """The inverse of what a posterior is built of is the closed form of each flow."""
    sampler = build_sampler(config, 3, 2)
    for parameter in sampler.parameters():
        parameter.data += 0.03 * torch.randn_like(parameter)
    masked = [module for module in sampler.modules() if isinstance(module, MaskedMLP)]
    calls = []
    for module in masked:
        module.register_forward_hook(lambda *_: calls.append(1))
    z, context = torch.randn(4, 3), torch.randn(4, 2)
    x, ladj = sampler.inverse_and_ladj(z, context)
    assert len(calls) == len(masked)
    back, negative = sampler.eval()(x, context)
    if config.kind != "cnf":  # equal but for the errors of two solves
        torch.testing.assert_close(back, z)
        torch.testing.assert_close(negative, -ladj)


def test_couplings_of_one_number_are_refused():
    for kind in ("nice", "realnvp", "glow", "spline"):
        config = TypeAdapter(FlowConfig).validate_python({"kind": kind})
        with pytest.raises(ValueError, match="at least two numbers"):
            build_flow(config, 1, 0)


def test_nice_keeps_volumes_but_for_its_scale():
    config = TypeAdapter(FlowConfig).validate_python({"kind": "nice", "layers": 4})
    flow = build_flow(config, 4, 0)
    for parameter in flow.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    _, ladj = flow.transform(torch.randn(10, 4))
    *_, scale = flow.transform
    assert torch.equal(ladj, scale.log_scale.sum().expand(10))
    assert isinstance(flow.base, StandardLogistic)


def test_glow_standardises_its_first_batch_alone():
    config = TypeAdapter(FlowConfig).validate_python({"kind": "glow", "layers": 1})
    flow = build_flow(config, 3, 0)
    norm = next(iter(flow.transform))
    x = torch.randn(100, 3) * torch.tensor([1.0, 5.0, 0.1]) + 7
    for factor in (1, 3):
        flow.log_prob(factor * x)
        z, _ = norm(x)
        torch.testing.assert_close(z.mean(0), torch.zeros(3), atol=1e-6, rtol=0)
        torch.testing.assert_close(z.std(0, correction=0), torch.ones(3), atol=1e-3, rtol=0)


def test_a_gaussian_is_the_noise_itself():
    flow = build_flow(GaussianConfig(), 3, 0)
    z = torch.randn(5, 3)
    torch.testing.assert_close(flow.log_prob(z), StandardNormal(3).log_prob(z))
    assert torch.equal(flow.transform.inverse(z), z)


def test_the_logistic_base_is_that_of_torch():
    base = StandardLogistic(2)
    flow = torch.distributions.Uniform(torch.zeros(2), torch.ones(2))
    logistic = torch.distributions.TransformedDistribution(
        flow, [torch.distributions.SigmoidTransform().inv]
    )
    z = torch.linspace(-30, 30, 50).unsqueeze(1).expand(-1, 2)
    torch.testing.assert_close(base.log_prob(z), logistic.log_prob(z).sum(-1))
    drawn = base.sample((20000,), torch.Generator().manual_seed(0)).sort(0).values[:, 0]
    empirical = (torch.arange(20000) + 0.5) / 20000
    assert (drawn.sigmoid() - empirical).abs().max() < 0.015  # Kolmogorov and Smirnov, p < 0.001


def test_temperature_and_generator_reach_every_base(config):
    flow = build_flow(config, 3, 0).eval()
    assert isinstance(flow, Flow)
    first, again = (
        flow.sample((4,), generator=torch.Generator().manual_seed(1), temperature=0.5)
        for _ in range(2)
    )
    assert torch.equal(first, again) and first.isfinite().all()


def test_nice_starts_with_the_spread_of_its_base():
    for base in ("logistic", "normal"):
        config = TypeAdapter(FlowConfig).validate_python({"kind": "nice", "base": base})
        flow = build_flow(config, 4, 0)
        drawn = flow.sample((20_000,), generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(drawn.std(0), torch.ones(4), atol=0.03, rtol=0)
