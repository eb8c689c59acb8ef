"""The interpretation: a bijection of codes in which factors can be swapped, moved and read."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from pointgen.batch import Batch
from pointgen.flows.glow import ActNorm
from pointgen.models import Autoencoder, InterpretationConfig, PointFlowConfig
from pointgen.models.coupling import GlowConfig, RealNvpConfig
from pointgen.models.interpretation import REST, Factor
from pointgen.networks import FilmConfig, PointNetConfig

FILM = FilmConfig(width=16, depth=1)
FLOW = PointFlowConfig(
    code_dim=6,
    encoder=PointNetConfig(widths=(16, 32), head=(16,)),
    points=RealNvpConfig(layers=2, network=FILM),
    prior=GlowConfig(layers=2, network=FILM),
)
SMALL = InterpretationConfig(
    flow=FLOW,
    factors={
        "legs": Factor(size=2, attributes=("height", "splay")),
        "back": Factor(size=3, attributes=("tilt",)),
    },
    transform=GlowConfig(layers=4, network=FILM),
)


@pytest.fixture
def model():
    model = SMALL.build()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


@pytest.fixture
def batch():
    points, partner = (torch.randn(8, 24, 3) for _ in range(2))
    factor = torch.tensor([0, 1] * 4)
    return Batch(points, partner=partner, factor=factor, attributes=torch.randn(8, 3))


def test_codes_and_factors_are_two_views_of_the_same(model):
    codes = torch.randn(5, 6)
    factors = model.eval().factors_of(codes)
    assert {name: part.shape[1] for name, part in factors.items()} == {
        "legs": 2, "back": 3, REST: 1,
    }  # fmt: skip
    torch.testing.assert_close(model.codes_of(factors), codes)
    assert isinstance(model, Autoencoder)


def test_a_swap_takes_one_factor_and_leaves_the_others(model):
    codes, donor = torch.randn(4, 6), torch.randn(1, 6)
    own, other = model.factors_of(codes), model.factors_of(donor)
    found = model.factors_of(model.swapped(codes, donor, "back"))
    torch.testing.assert_close(found["back"], other["back"].expand(4, -1))
    for name in ("legs", REST):
        torch.testing.assert_close(found[name], own[name])
    torch.testing.assert_close(model.swapped(codes, donor, "back", 0.0), codes)
    half = model.factors_of(model.swapped(codes, donor, "back", 0.5))["back"]
    lengths = (own["back"].norm(dim=1) + other["back"].norm()) / 2
    torch.testing.assert_close(half.norm(dim=1), lengths)  # as typical as its ends


def test_a_factor_is_moved_away_from_the_average_and_to_it(model):
    codes = torch.randn(4, 6)
    own = model.factors_of(codes)
    found = model.factors_of(model.scaled(codes, "legs", -1.5))
    torch.testing.assert_close(found["legs"], -1.5 * own["legs"])
    torch.testing.assert_close(found["back"], own["back"])


def test_an_attribute_gets_its_value_by_the_shortest_way(model):
    model.scale.log_scale.data[:] = torch.tensor([0.5, 1.0, -1.0])
    model.scale.bias.data[:] = torch.tensor([3.0, 0.0, -2.0])
    codes = torch.randn(4, 6)
    for place, name in enumerate(("height", "splay", "tilt")):
        moved = model.put(codes, name, 0.7)
        torch.testing.assert_close(model.attributes_of(moved)[:, place], torch.full((4,), 0.7))
        factor = "back" if name == "tilt" else "legs"
        step = model.factors_of(moved)[factor] - model.factors_of(codes)[factor]
        row = model.readings[factor].weight[0 if name != "splay" else 1]
        parallel = torch.cosine_similarity(step, row.expand_as(step)).abs()
        torch.testing.assert_close(parallel, torch.ones(4))
    half = model.put(codes, "tilt", 0.7, 0.5)
    middle = (model.attributes_of(codes)[:, 2] + 0.7) / 2
    torch.testing.assert_close(model.attributes_of(half)[:, 2], middle)


def test_the_loss_is_the_likelihood_of_correlated_pairs(model, batch):
    """Against the density of both codes at once, a Gaussian of 12 numbers."""
    model.train()
    model.loss(batch)  # the first batch sets norms
    codes = model.flow.encode(torch.cat([batch.points, batch.partner]))
    numbers, ladj = model.transform(codes)
    total = 0.0
    for place in range(8):
        rho = torch.zeros(6)
        rho[:2] = 0.975 * (place % 2 == 0)
        rho[2:5] = 0.975 * (place % 2 == 1)
        cross = torch.diag(rho)
        covariance = torch.cat(
            [torch.cat([torch.eye(6), cross], 1), torch.cat([cross, torch.eye(6)], 1)]
        )
        joint = torch.distributions.MultivariateNormal(torch.zeros(12), covariance)
        both = torch.cat([numbers[place], numbers[8 + place]])
        total = total - joint.log_prob(both) - ladj[place] - ladj[8 + place]
    torch.testing.assert_close(model.loss(batch).terms["nats"], total.detach() / (8 * 12))


def test_the_model_inside_stays_as_it_is(model, batch):
    before = {name: value.clone() for name, value in model.flow.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    model.train()
    assert not model.flow.training
    for _ in range(3):
        loss = model.loss(batch).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, value in model.flow.state_dict().items():
        assert value.equal(before[name]), name
    for name, parameter in model.named_parameters():
        inside = name.startswith(("flow.", "scale."))
        assert parameter.requires_grad != inside
        assert inside or parameter.grad.abs().sum() > 0, name


def test_reading_attributes_does_not_shape_the_factors(model, batch):
    model.train().loss(batch)  # norms are set
    grads = []
    for attributes in (batch.attributes, 5 * batch.attributes + 1):
        model.zero_grad()
        model.loss(replace(batch, attributes=attributes)).total.backward()
        grads.append(torch.cat([p.grad.flatten() for p in model.transform.parameters()]))
    assert grads[0].equal(grads[1])


def test_it_finds_factors_that_are_hidden_in_codes():
    """Codes are a rotation of two factors; pairs share one or the other."""
    flow = FLOW.model_copy(update={"code_dim": 4})
    factors = {name: Factor(size=2, attributes=(name,)) for name in ("a", "b")}
    model = SMALL.model_copy(update={"flow": flow, "factors": factors}).build()
    rotation, _ = torch.linalg.qr(torch.randn(4, 4))

    class Rotated(torch.nn.Module):
        def encode(self, points):
            return points[:, 0] @ rotation  # the first "point" holds the factors

        def eval(self):
            return self

    model.flow = Rotated()
    optimizer = torch.optim.Adam(model.transform.parameters(), 1e-2)
    for _ in range(150):
        hidden, partner = torch.randn(128, 4), torch.randn(128, 4)
        factor = torch.randint(2, (128,))
        shared = (torch.arange(4) // 2) == factor[:, None]
        partner = torch.where(shared, hidden, partner)
        batch = FourNumbers(hidden[:, None], partner[:, None], factor, hidden[:, ::2])
        loss = model.loss(batch).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    hidden = torch.randn(500, 4)
    found = model.eval().factors_of(hidden @ rotation)
    for name, part in (("a", hidden[:, :2]), ("b", hidden[:, 2:])):
        answer = torch.linalg.lstsq(part, found[name]).solution
        missed = (found[name] - part @ answer).var() / found[name].var()
        assert missed < 0.1, name


class FourNumbers:
    """What `loss` reads of a batch, with vectors of four numbers in place of clouds."""

    def __init__(self, points, partner, factor, attributes):
        self.points, self.partner, self.factor = points, partner, factor
        self.attributes = attributes


def test_one_batch_sets_the_units_of_attributes(model, batch):
    attributes = torch.tensor([0.4, 0.1, 100.0]) + torch.tensor([0.01, 0.1, 30.0]) * torch.randn(
        8, 3
    )
    model.train().loss(replace(batch, attributes=attributes))
    assert isinstance(model.scale, ActNorm) and bool(model.scale.initialised)
    standard, _ = model.scale(attributes)
    torch.testing.assert_close(standard.mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(standard.std(0, correction=0), torch.ones(3))


def test_an_attribute_that_the_first_batch_lacks_is_not_blown_up(model, batch):
    attributes = torch.randn(8, 3) * torch.tensor([1.0, 1.0, 0.0])
    model.train().loss(replace(batch, attributes=attributes))
    standard, _ = model.scale(torch.ones(1, 3))
    assert standard[0, 2].abs() <= 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"flow": None}, "run: expected the run whose codes"),
        ({"factors": {}}, "factors: expected some"),
        ({"factors": {"rest": {"size": 1, "attributes": ["a"]}}}, "none of them named 'rest'"),
        ({"factors": {"a": {"size": 9, "attributes": ["a"]}}}, "sizes of 6 numbers together"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        InterpretationConfig(**({"flow": FLOW, "factors": SMALL.factors} | changes))


def test_names_that_are_not_there_are_said(model):
    with pytest.raises(ValueError, match="factor wings: expected one of legs, back, rest"):
        model.scaled(torch.randn(1, 6), "wings", 2.0)
    with pytest.raises(ValueError, match="attribute wings: expected one of height, splay, tilt"):
        model.put(torch.randn(1, 6), "wings", 2.0)
    with pytest.raises(ValueError, match="expected data of pairs"):
        model.loss(Batch(torch.randn(2, 8, 3)))
