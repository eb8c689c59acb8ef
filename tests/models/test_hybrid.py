"""The hybrid: one linear layer on invertible features beside a density, and few labels."""

from dataclasses import replace
from zlib import crc32

import pytest
import torch
from pydantic import ValidationError

from pointgen.batch import Batch, collate
from pointgen.datasets import ProceduralConfig
from pointgen.models import Autoencoder, Classifier, HybridConfig, PointFlowConfig, Watchable
from pointgen.models.around import pointflow_of
from pointgen.models.coupling import GlowConfig, RealNvpConfig
from pointgen.models.flows import NoPrior
from pointgen.networks import FilmConfig, PointNetConfig

FILM = FilmConfig(width=16, depth=1)
FLOW = PointFlowConfig(
    code_dim=4,
    encoder=PointNetConfig(widths=(16, 32), head=(16,)),
    points=RealNvpConfig(layers=3, network=FILM),
    prior=GlowConfig(layers=2, network=FILM),
)
SMALL = HybridConfig(categories=("a", "b", "c"), flow=FLOW)
CENTRE, SPREAD = torch.tensor([10.0, -20.0, 30.0]), 5.0


def built(**changes):
    model = SMALL.model_copy(update=changes).build()
    model.set_units(CENTRE.double(), torch.full((3,), SPREAD))
    return model


@pytest.fixture
def batch():
    points, target = (CENTRE + SPREAD * torch.randn(6, 24, 3) for _ in range(2))
    label = torch.tensor([0, 1, 2, 0, 1, 2])
    return Batch(points, target, label=label, id=tuple(f"shape {i}" for i in range(6)))


def test_it_can_all_that_its_parts_can():
    model = built()
    for ability in (Autoencoder, Classifier, Watchable):
        assert isinstance(model, ability)
    assert pointflow_of(model) is model.flow
    assert model.sample(2, 10).shape == (2, 10, 3)


def test_a_gradient_reaches_every_parameter(batch):
    model = built()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    model.loss(batch).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_categories_are_linear_in_the_noise_of_the_prior(batch):
    model = built().eval()
    codes = model.encode(batch.points)
    noise, _ = model.flow.prior.transform(codes)
    expected = torch.softmax(noise @ model.head.weight.T + model.head.bias, dim=-1)
    torch.testing.assert_close(model.classify(batch.points), expected)
    back = model.flow.prior.transform.inverse(noise)
    torch.testing.assert_close(back, codes)  # and nothing of the code is lost there


def test_the_loss_is_its_parts(batch):
    model = built(confidence_weight=0.7, flow_weight=0.3, labelled=0.5)
    torch.manual_seed(0)
    loss = model.loss(batch)
    torch.manual_seed(0)
    posterior = model.flow.posterior(batch.points)
    noise = model.flow.noise(posterior.draw()[0])
    log_p = model.head(noise).log_softmax(-1)
    known = torch.tensor([crc32(id.encode()) < 2**31 for id in batch.id])
    assert 0 < known.sum() < 6
    cross = torch.nn.functional.nll_loss(log_p[known], batch.label[known])
    entropy = torch.distributions.Categorical(logits=log_p[~known]).entropy().mean()
    flow = model.flow.loss_given(batch, posterior).total
    torch.testing.assert_close(loss.total, cross + 0.7 * entropy + 0.3 * flow)


def test_labels_that_are_not_used_do_not_matter(batch):
    """Neither those of shapes that were not chosen, nor of categories that it is not told."""
    known = torch.tensor([crc32(id.encode()) < 2**31 for id in batch.id])
    others = batch.label.where(known, (batch.label + 1) % 3)
    strange = batch.label.where(known, 7)
    totals = []
    for label, labelled in ((batch.label, 0.5), (others, 0.5), (strange, 0.5), (strange, 1.0)):
        torch.manual_seed(0)
        model = built(labelled=labelled)
        totals.append(model.loss(replace(batch, label=label)).total)
    assert totals[0] == totals[1] == totals[2] == totals[3]


def test_held_out_shapes_are_judged_by_all_their_labels(batch):
    model = built(labelled=1e-9).eval()
    assert model.loss(batch).terms["cross_entropy"] > 0
    assert model.train().loss(batch).terms["cross_entropy"] == 0  # no label at all, and no NaN


def test_a_plain_classifier_is_one_without_its_flow(batch):
    model = built(flow_weight=0.0)
    loss = model.loss(batch)
    assert set(loss.terms) == {"cross_entropy", "unlabelled_entropy", "accuracy"}
    loss.total.backward()
    assert all(p.grad is None for p in model.flow.points.parameters())


def test_it_learns_categories_and_to_be_sure_where_there_are_no_labels():
    data = ProceduralConfig(categories=("mug", "table"), size=24, num_points=64).build("train")
    batch = collate([data[place] for place in range(48)])
    batch = replace(batch, points=batch.points.double(), target=batch.target.double())
    model = HybridConfig(categories=("mug", "table"), labelled=0.25, flow=FLOW).build()
    model.set_units(torch.zeros(3), torch.full((3,), 0.3))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    flow = []
    for _ in range(60):
        loss = model.loss(batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        flow.append(loss.terms["log_px_per_point"].item())
    assert sum(flow[-5:]) > sum(flow[:5])
    model.eval()
    shares = model.classify(batch.points)
    assert (shares.argmax(-1) == batch.label).double().mean() > 0.9
    assert shares.amax(-1).mean() > 0.7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"flow": FLOW.model_copy(update={"prior": NoPrior()})}, "read off a prior's noise"),
        (
            {"flow": {**FLOW.model_dump(), "condition": {"categories": ["a", "b"]}}},
            "flow.condition: a hybrid finds out the category",
        ),
        ({"categories": ("a",)}, "expected two or more to tell apart"),
        ({"labelled": 0.0}, "greater than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        HybridConfig(**({"categories": ("a", "b"), "flow": FLOW} | changes))


def test_data_without_labels_are_refused(batch):
    with pytest.raises(ValueError, match="expected data with labels"):
        built().loss(replace(batch, label=None))
