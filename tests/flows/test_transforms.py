"""One table of laws over all transforms."""

import pytest
import torch
from torch import nn

from pointgen.flows.affine import MovingBatchNorm, Standardize
from pointgen.flows.autoregressive import IafConfig, MafConfig
from pointgen.flows.base import Chain, Flow, Inverted, StandardNormal
from pointgen.flows.continuous import CNF
from pointgen.flows.planar import PlanarConfig, RadialConfig, SylvesterConfig
from pointgen.flows.solver import Solver
from pointgen.models.coupling import GlowConfig, NiceConfig, RealNvpConfig, SplineConfig
from pointgen.networks import ConcatSquashConfig, FilmConfig, ResidualConfig

DIM, CONTEXT = 2, 4
TOLERANCE = 1e-5
PRECISE = Solver(rtol=1e-8, atol=1e-8)


def standardize():
    transform = Standardize(DIM)
    transform.set(torch.tensor([0.3, -2.0]), torch.tensor([0.5, 3.0]))
    return transform


def moving_batch_norm():
    transform = MovingBatchNorm(DIM)
    transform.running_mean.copy_(torch.tensor([1.0, -1.0]))
    transform.running_var.copy_(torch.tensor([0.5, 3.0]))
    nn.init.normal_(transform.weight)
    nn.init.normal_(transform.bias)
    return transform


def cnf(config):
    """Move what starts at zero, where a law may hold by accident."""
    field = config.build(DIM, CONTEXT)
    for parameter in field.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.3)
    return CNF(field, PRECISE)


def discrete(config):
    """Move it from where it starts, which is near the identity or on it."""
    chain = Chain(config.build(DIM, CONTEXT))
    for parameter in chain.parameters():
        parameter.data += (0.03 if parameter.any() else 0.1) * torch.randn_like(parameter)
    return chain


NET = FilmConfig(width=16)
DISCRETE = {
    "planar": PlanarConfig(layers=4),
    "radial": RadialConfig(layers=4),
    "sylvester": SylvesterConfig(layers=3),
    "nice": NiceConfig(layers=4, network=NET),
    "realnvp": RealNvpConfig(layers=4, network=NET),
    "glow": GlowConfig(layers=4, network=NET),
    "maf": MafConfig(layers=2, width=16),
    "iaf": IafConfig(layers=2, width=16),
    "gated_iaf": IafConfig(layers=2, width=16, gated=True),
    "spline": SplineConfig(layers=2, network=NET),
}
TRANSFORMS = {
    **{name: lambda config=config: discrete(config) for name, config in DISCRETE.items()},
    "inverted_sylvester": lambda: Inverted(discrete(DISCRETE["sylvester"])),
    "standardize": standardize,
    "moving_batch_norm": moving_batch_norm,
    "cnf_concatsquash": lambda: cnf(ConcatSquashConfig(dims=(16, 16))),
    "cnf_residual": lambda: cnf(ResidualConfig(width=16, depth=2, condition_width=16, octaves=0)),
    "chain": lambda: Chain(
        [standardize(), moving_batch_norm(), cnf(ConcatSquashConfig(dims=(8,)))]
    ),
}


@pytest.fixture(params=TRANSFORMS, ids=str)
def transform(request, device):
    return TRANSFORMS[request.param]().eval().to(device)


@pytest.fixture
def context(device):
    return torch.randn(3, 1, CONTEXT, device=device)


def test_inverse_undoes_forward(transform, context, device):
    x = torch.randn(3, 5, DIM, device=device)
    z, _ = transform(x, context)
    assert not torch.allclose(z, x, atol=1e-2)
    torch.testing.assert_close(transform.inverse(z, context), x, atol=TOLERANCE, rtol=0)


def test_ladj_is_that_of_the_autograd_jacobian(transform, context, device):
    x = torch.randn(DIM, device=device)
    one = context[0, 0]
    _, ladj = transform(x, one)
    jacobian = torch.autograd.functional.jacobian(lambda y: transform(y, one)[0], x)
    torch.testing.assert_close(ladj, torch.linalg.slogdet(jacobian)[1], atol=TOLERANCE, rtol=0)


def test_inverse_ladj_is_the_negative(transform, context, device):
    z = torch.randn(3, 5, DIM, device=device)
    x, ladj = transform.inverse_and_ladj(z, context)
    back, forward_ladj = transform(x, context)
    torch.testing.assert_close(back, z, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(ladj, -forward_ladj, atol=TOLERANCE, rtol=0)


def test_batch_dimensions_are_free(transform, context, device):
    x = torch.randn(3, 5, DIM, device=device)
    z, ladj = transform(x, context)
    assert z.shape == x.shape and ladj.shape == (3, 5)
    alone, _ = transform(x[1, 2], context[1, 0])
    torch.testing.assert_close(alone, z[1, 2], atol=TOLERANCE, rtol=0)


def test_density_integrates_to_one(transform, context, device):
    flow = Flow(transform, StandardNormal(DIM)).to(device)
    with torch.no_grad():
        low, high = flow.sample((1000,), context[0]).aminmax(dim=0)
        margin = 0.3 * (high - low)
        axes = [
            torch.linspace(a, b, 100, device=device)
            for a, b in zip(low - margin, high + margin, strict=True)
        ]
        cell = (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
        mass = flow.log_prob(torch.cartesian_prod(*axes), context[0]).exp().sum() * cell
    assert abs(mass - 1) < 1e-2


def test_samples_have_the_density_they_report(transform, context, device):
    flow = Flow(transform, StandardNormal(DIM)).to(device)
    x, log_prob = flow.rsample_and_log_prob((3, 5), context)
    torch.testing.assert_close(flow.log_prob(x, context), log_prob, atol=TOLERANCE, rtol=0)


def test_one_generator_state_gives_one_sample(transform, context, device):
    flow = Flow(transform, StandardNormal(DIM)).to(device)
    first, again, other = (
        flow.sample((3, 5), context, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.allclose(first, other)


def test_a_jacobian_there_and_back_is_the_identity(transform, context, device):
    """The inverse has the right derivative too, though roots are found without a graph."""
    x, one = torch.randn(DIM, device=device), context[0, 0]
    z, _ = transform(x, one)
    there = torch.autograd.functional.jacobian(lambda y: transform(y, one)[0], x)
    back = torch.autograd.functional.jacobian(lambda y: transform.inverse(y, one), z)
    torch.testing.assert_close(back @ there, torch.eye(DIM, device=device), atol=TOLERANCE, rtol=0)


def test_parameters_and_context_get_the_gradient_of_the_inverse(transform, context, device):
    """By the implicit function: d(inverse)/d(theta) = -(dx/dz) d(forward)/d(theta)."""
    if not any(True for _ in transform.parameters()):
        pytest.skip("nothing to differentiate")
    z = torch.randn(DIM, device=device)
    one = context[0, 0].clone().requires_grad_()
    wanted = [*transform.parameters(), one]
    x = transform.inverse(z, one)
    weights = torch.randn(DIM, device=device)
    of_inverse = torch.autograd.grad(x @ weights, wanted, allow_unused=True)
    fixed = x.detach()
    back = torch.autograd.functional.jacobian(lambda y: transform.inverse(y, one), z)
    of_forward = torch.autograd.grad(
        -transform(fixed, one)[0] @ (back.mT @ weights), wanted, allow_unused=True
    )
    for inverse, forward in zip(of_inverse, of_forward, strict=True):
        if inverse is None or forward is None:
            assert inverse is None and forward is None
        else:
            torch.testing.assert_close(inverse, forward, atol=1e-4, rtol=1e-4)


def test_half_precision_networks_keep_the_bijection(transform, context, device):
    """Networks may answer coarsely under autocast, but forward and inverse then still agree."""
    transform.float()
    x, given = torch.randn(3, 5, DIM, device=device).float(), context.float()
    with torch.autocast(device.type, torch.bfloat16):
        z, ladj = transform(x, given)
        back = transform.inverse(z, given)
    assert z.dtype == ladj.dtype == torch.float32
    torch.testing.assert_close(back, x, atol=1e-3, rtol=1e-3)
