import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

from pointgen.batch import Batch
from pointgen.flows.affine import EPSILON
from pointgen.flows.continuous import CNF
from pointgen.flows.solver import Solver
from pointgen.models import PointFlowConfig
from pointgen.models.base import Condition
from pointgen.models.cnf import CnfConfig
from pointgen.models.flows import NoPrior
from pointgen.models.posterior import Posterior
from pointgen.networks import ConcatSquashConfig, PointNetConfig, ResidualConfig

PRECISE = Solver(rtol=1e-9, atol=1e-9)
ENCODER = PointNetConfig(widths=(16, 32), head=(16,))
SMALL = CnfConfig(field=ConcatSquashConfig(dims=(16, 16)), solver=PRECISE)


def small(**changes):
    config = PointFlowConfig(code_dim=4, encoder=ENCODER, points=SMALL, prior=SMALL)
    return PointFlowConfig.model_validate(config.model_dump() | changes)


def test_the_paper_has_as_many_parameters_as_the_official_model():
    assert sum(p.numel() for p in PointFlowConfig().build().parameters()) == 1_608_346
    autoencoder = PointFlowConfig(posterior="deterministic", prior=NoPrior()).build()
    assert sum(p.numel() for p in autoencoder.parameters()) == 1_292_697


def test_log_prob_agrees_with_an_independent_integration_and_finite_differences():
    """SciPy carries each point to the noise; the Jacobian comes from central differences."""
    model = small().build()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    model.set_units(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 1.0, 2.0]))
    norm_before, cnf, norm_after = list(model.points.transform.transforms)[1:]
    assert isinstance(cnf, CNF)
    norm_before.running_mean.normal_()
    norm_after.running_var.uniform_(0.5, 2)
    model.eval()
    points, code = 2 + torch.randn(1, 4, 3), torch.randn(1, 4)

    def velocity(t, y):
        with torch.no_grad():
            return cnf.field(torch.tensor(t), torch.from_numpy(y), code[0]).numpy()

    def affine(norm, y):
        scale = np.exp(norm.weight.detach()) / np.sqrt(norm.running_var + EPSILON)
        return (y - norm.running_mean.numpy()) * scale.numpy() + norm.bias.detach().numpy()

    def to_noise(x):
        y = affine(norm_before, (x - [1.0, 2.0, 3.0]) / [0.5, 1.0, 2.0])
        path = solve_ivp(velocity, (1.0, 0.0), y, method="DOP853", rtol=1e-11, atol=1e-12)
        return affine(norm_after, path.y[:, -1])

    expected = 0.0
    for x in points[0].numpy():
        steps = 1e-5 * np.eye(3)
        jacobian = np.stack([(to_noise(x + s) - to_noise(x - s)) / 2e-5 for s in steps], axis=1)
        z = to_noise(x)
        expected += -0.5 * (z @ z + 3 * math.log(2 * math.pi)) + np.linalg.slogdet(jacobian)[1]
    assert abs(model.log_prob(points, code).item() - expected) < 1e-5


def test_the_bound_holds():
    """The evidence lower bound stays below the importance-weighted estimate of log p(X)."""
    quick = SMALL.model_copy(update={"solver": Solver(rtol=1e-3, atol=1e-3)}).model_dump()
    model = small(points=quick, prior=quick).build().eval()
    points = torch.randn(1, 8, 3)
    with torch.no_grad():
        posterior = model.posterior(points)
        mean, log_var = posterior.mean, posterior.log_var
        bound = -torch.stack([model.loss(Batch(points, points)).total for _ in range(30)]).mean()
        std = (0.5 * log_var).exp().expand(400, -1)
        codes = mean + std * torch.randn(400, 4)
        log_q = torch.distributions.Normal(mean, std).log_prob(codes).sum(-1)
        log_w = model.log_prob(points.expand(400, -1, -1), codes) + model.log_prior(codes) - log_q
        evidence = log_w.logsumexp(0) - math.log(400)
    assert bound < evidence


def test_a_run_of_one_objective_goes_on_with_the_other():
    matched = small(objective="matching").build()
    continued = small(objective="likelihood").build()
    continued.load_state_dict(matched.state_dict())
    batch = Batch(torch.randn(4, 16, 3), torch.randn(4, 16, 3))
    assert continued.loss(batch).total.isfinite() and matched.loss(batch).total.isfinite()


def test_encoder_and_density_see_different_points():
    model = small().build().eval()
    points, target = torch.randn(2, 8, 3), torch.randn(2, 8, 3)
    seen = {}
    zeros = torch.zeros(2, 4)
    model.posterior = lambda x: seen.setdefault("encoder", x) is x and Posterior(zeros, zeros)
    model.log_prob = lambda x, codes: seen.setdefault("density", x).sum((1, 2))
    model.loss(Batch(points, target))
    assert seen["encoder"] is points and seen["density"] is target


def test_combinations_that_make_no_sense_are_refused_with_the_reason():
    with pytest.raises(ValueError, match="one block"):
        small(objective="matching", points=SMALL.model_copy(update={"blocks": 2}).model_dump())
    with pytest.raises(ValueError, match="collapse"):
        small(posterior="deterministic")
    with pytest.raises(ValueError, match="regresses velocities"):
        small(objective="matching", points={"kind": "realnvp"})
    with pytest.raises(ValueError, match="iaf is the same flow"):
        small(posterior_flow={"kind": "maf"})
    with pytest.raises(ValueError, match="no draws to go through"):
        small(posterior="deterministic", prior={"kind": "none"}, posterior_flow={"kind": "iaf"})
    with pytest.raises(ValueError, match="near N"):
        small(objective="matching", posterior="deterministic", prior={"kind": "gaussian"})
    with pytest.raises(ValueError, match="code_dim 2 or more"):
        small(code_dim=1, prior={"kind": "glow"})
    with pytest.raises(ValueError, match="no flow to be conditioned"):
        small(prior={"kind": "gaussian"}, condition={"categories": ["chair"]})


def test_what_only_an_ode_has_is_refused_where_there_is_none():
    chain = {"kind": "realnvp", "layers": 2, "network": {"width": 8, "depth": 1}}
    model = small(points=chain, prior={"kind": "planar"}).build().eval()
    assert model.sample(2, 5).shape == (2, 5, 3) and model.evaluations == 0
    with pytest.raises(ValueError, match="solves no ODE"):
        model.sample(2, 5, solver=Solver(method="heun", steps=2))
    with pytest.raises(ValueError, match="no continuous flow"):
        model.trajectory(model.codes(2), 5, 3)
    told = small(
        points=chain, prior={"kind": "glow", "layers": 1}, condition={"categories": ["a", "b"]}
    ).build()
    with pytest.raises(ValueError, match="kind cnf"):
        told.eval().sample(1, 5, condition=Condition(guidance=2.0))


def test_without_a_prior_it_reconstructs_but_says_that_it_cannot_generate():
    model = small(posterior="deterministic", prior=NoPrior().model_dump()).build().eval()
    assert model.decode(model.encode(torch.randn(2, 16, 3)), 7).shape == (2, 7, 3)
    with pytest.raises(ValueError, match="no prior"):
        model.sample(1, 10)


def test_a_cloud_that_cannot_be_solved_is_nan_and_its_neighbours_are_not():
    model = small().build().eval()

    class Explosive(nn.Module):
        def forward(self, t, x, context):
            return (context[..., :1] > 0) * x**3 * 1e3

    model.points.transform.transforms[2].field = Explosive()
    codes = torch.tensor([[-1.0] * 4, [1.0] * 4, [-1.0] * 4])
    with torch.no_grad():
        clouds = model.decode(codes, 10)
    finite = clouds.isfinite().flatten(1).all(1)
    assert finite.tolist() == [True, False, True]


def test_many_points_come_in_pieces_of_bounded_memory(monkeypatch):
    monkeypatch.setattr("pointgen.flows.continuous.POINTS_AT_ONCE", 64)
    model = small().build().eval()
    codes = torch.randn(2, 4)
    with torch.no_grad():
        pieces = model.decode(codes, 100, generator=torch.Generator().manual_seed(0))
        monkeypatch.undo()
        whole = model.decode(codes, 100, generator=torch.Generator().manual_seed(0))
    assert pieces.shape == (2, 100, 3)
    torch.testing.assert_close(pieces, whole, atol=1e-6, rtol=0)


def test_temperature_narrows_the_shapes():
    field = ResidualConfig(width=16, depth=1, condition_width=16)
    flow = CnfConfig(field=field, batch_norm=False, sampler=Solver(method="heun", steps=4))
    config = PointFlowConfig(
        objective="matching", code_dim=4, encoder=ENCODER, points=flow, prior=flow
    )
    model = config.build().eval()
    seen = []
    model.decode = lambda codes, *rest, **more: seen.append(codes) or codes
    for temperature in (1.0, 0.1):
        generator = torch.Generator().manual_seed(0)
        model.sample(100, 5, temperature=temperature, generator=generator)
    torch.testing.assert_close(seen[1], 0.1 * seen[0])
