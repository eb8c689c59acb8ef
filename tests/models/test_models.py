"""One table of laws over all models."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pointgen.batch import Batch
from pointgen.flows.autoregressive import IafConfig, MafConfig
from pointgen.flows.planar import PlanarConfig, SylvesterConfig
from pointgen.flows.solver import Solver
from pointgen.models import Autoencoder, PointFlowConfig
from pointgen.models.cnf import CnfConfig
from pointgen.models.coupling import GlowConfig, RealNvpConfig, SplineConfig
from pointgen.models.flows import GaussianConfig, NoPrior
from pointgen.networks import (
    ConcatSquashConfig,
    FilmConfig,
    PointNetConfig,
    ResidualConfig,
    RevNetConfig,
)

ENCODER = PointNetConfig(widths=(16, 32), head=(16,))
HEUN = Solver(method="heun", steps=8)
PAPER = CnfConfig(field=ConcatSquashConfig(dims=(16, 16)), solver=Solver(rtol=1e-2, atol=1e-2))
OURS = CnfConfig(
    field=ResidualConfig(width=16, depth=2, condition_width=16), sampler=HEUN, batch_norm=False
)
NORMED = OURS.model_copy(update={"batch_norm": True})

MODELS = {
    "likelihood": PointFlowConfig(code_dim=4, encoder=ENCODER, points=PAPER, prior=PAPER),
    "two blocks": PointFlowConfig(
        code_dim=4, encoder=ENCODER, points=PAPER.model_copy(update={"blocks": 2}), prior=PAPER
    ),
    "autoencoder": PointFlowConfig(
        code_dim=4, encoder=ENCODER, points=PAPER, prior=NoPrior(), posterior="deterministic"
    ),
    "matching": PointFlowConfig(
        objective="matching", code_dim=4, encoder=ENCODER, points=OURS, prior=OURS
    ),
    "matching with norms": PointFlowConfig(
        objective="matching", code_dim=4, encoder=ENCODER, points=NORMED, prior=NORMED
    ),
    "matching unpaired": PointFlowConfig(
        objective="matching",
        code_dim=4,
        encoder=ENCODER,
        points=OURS,
        prior=OURS,
        pairing="none",
        posterior="deterministic",
    ),
}
NET = FilmConfig(width=16, depth=1)
REALNVP = RealNvpConfig(layers=4, network=NET)
MODELS |= {
    "likelihood of couplings": PointFlowConfig(
        code_dim=4,
        encoder=ENCODER,
        points=REALNVP,
        prior=GlowConfig(layers=2, network=NET),
        posterior_flow=IafConfig(layers=2, width=16),
    ),
    "likelihood of splines": PointFlowConfig(
        code_dim=4,
        encoder=ENCODER,
        points=SplineConfig(layers=4, network=NET),
        prior=GaussianConfig(),
        posterior_flow=PlanarConfig(layers=2),
    ),
    "matching beside a spline": PointFlowConfig(
        objective="matching",
        code_dim=4,
        encoder=ENCODER,
        points=OURS,
        prior=SplineConfig(layers=2, network=NET),
        posterior_flow=SylvesterConfig(layers=2),
    ),
    "matching beside a maf": PointFlowConfig(
        objective="matching",
        code_dim=4,
        encoder=ENCODER,
        points=OURS,
        prior=MafConfig(layers=2, width=16),
    ),
    "matching with a revnet": PointFlowConfig(
        objective="matching",
        code_dim=4,
        encoder=RevNetConfig(depth=2, width=8, hidden=8, pooled=16, head=(16,)),
        points=OURS,
        prior=OURS,
    ),
    "matching alone": PointFlowConfig(
        objective="matching", code_dim=4, encoder=ENCODER, points=OURS, prior=GaussianConfig()
    ),
}
CENTRE, SPREAD = torch.tensor([10.0, -20.0, 30.0]), 5.0


@pytest.fixture(params=MODELS, ids=str)
def model(request, device):
    model = MODELS[request.param].build()
    model.set_units(CENTRE.double(), torch.full((3,), SPREAD))
    return model.to(device)


@pytest.fixture
def batch(device):
    shape = torch.tensor([1.0, 0.2, 2.0])
    points, target = (CENTRE + SPREAD * shape * torch.randn(6, 32, 3) for _ in range(2))
    return Batch(points, target).to(device)


def test_a_gradient_reaches_every_parameter(model, batch):
    for parameter in model.parameters():  # from zero, some gradients vanish by accident
        parameter.data += 0.05 * torch.randn_like(parameter)
    model.loss(batch).total.backward()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:  # a norm that matching crosses
            assert model.config.objective == "matching" and name.endswith((".weight", ".bias"))
            continue
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


class Waits(TorchDispatchMode):
    """Counts what a GPU would have to finish all its work for: numbers and sizes asked for."""

    ASKED = ("_local_scalar_dense", "nonzero", "masked_select")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.count += operation.name().startswith(tuple(f"aten::{name}" for name in self.ASKED))
        return operation(*args, **(kwargs or {}))


def test_a_step_waits_for_the_device_only_where_a_solver_chooses_its_steps(model, batch):
    model.loss(batch).total.backward()  # the first one may look at what it meets
    with Waits() as waits:
        model.loss(batch).total.backward()
    chosen = PAPER in (model.config.points, model.config.prior)
    assert (waits.count > 0) == chosen, waits.count


def test_the_loss_falls(model, batch):
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        loss = model.loss(batch).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-4:]) < sum(losses[:4])


def test_terms_are_finite_detached_scalars(model, batch):
    loss = model.loss(batch)
    assert loss.total.requires_grad and loss.total.shape == ()
    for name, value in loss.terms.items():
        assert value.shape == () and value.isfinite() and not value.requires_grad, name


def test_one_generator_state_gives_one_reconstruction_and_sample(model, batch):
    model.eval()

    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            codes = model.encode(batch.points)
            clouds = [model.decode(codes, 50, generator=generator)]
            if model.prior is not None:
                clouds.append(model.sample(6, 50, generator=generator))
        return torch.cat(clouds)

    assert torch.equal(draw(1), draw(1))
    assert not torch.allclose(draw(1), draw(2))


def test_samples_and_codes_follow_the_units(model, batch):
    """In units twice as large and elsewhere, the same clouds have the same codes and samples."""
    model.eval()

    def decoded(points):
        with torch.no_grad():
            codes = model.encode(points)
            return codes, model.decode(codes, 20, generator=torch.Generator().manual_seed(0))

    codes, clouds = decoded(batch.points)
    model.set_units(2 * CENTRE.double() + 7, torch.full((3,), 2 * SPREAD))
    moved_codes, moved_clouds = decoded(2 * batch.points + 7)
    torch.testing.assert_close(moved_codes, codes)
    torch.testing.assert_close(moved_clouds, 2 * clouds + 7)


def test_half_precision_training_keeps_densities_in_single(model, batch, device):
    model.float()
    single = Batch(batch.points.float(), batch.target.float())
    torch.set_default_dtype(torch.float32)
    with torch.autocast(device.type, torch.bfloat16):
        loss = model.loss(single)
    loss.total.backward()
    assert loss.total.dtype == torch.float32 and loss.total.isfinite()


def test_a_state_dict_alone_reproduces_a_sample(model, batch, device):
    model.loss(batch)  # moves running statistics
    twin = model.config.build().to(device)
    twin.load_state_dict(copy.deepcopy(model.state_dict()))
    first, second = (
        m.eval().decode(m.encode(batch.points), 20, generator=torch.Generator().manual_seed(0))
        for m in (model, twin)
    )
    assert torch.equal(first, second)


def test_the_order_of_points_does_not_matter_to_the_code(model, batch):
    model.eval()
    shuffled = batch.points[:, torch.randperm(32, device=batch.points.device)]
    torch.testing.assert_close(model.encode(shuffled), model.encode(batch.points))


def test_an_autoencoder_says_so(model):
    assert isinstance(model, Autoencoder)


def test_codes_between_two_start_and_end_there(model, batch):
    model.eval()
    with torch.no_grad():
        codes = model.encode(batch.points)
    way = model.between(codes[0], codes[1], 5)
    assert way.shape == (5, 4)
    torch.testing.assert_close(way[[0, -1]], codes[:2], atol=1e-2, rtol=1e-2)
    assert (way.diff(dim=0).norm(dim=1) > 0).all()
