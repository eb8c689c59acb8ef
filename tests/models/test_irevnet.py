"""i-RevNet: nothing of a cloud is lost, its order does not matter, and it learns categories."""

import pytest
import torch
from pydantic import ValidationError

from pointgen.batch import Batch, collate
from pointgen.datasets import ProceduralConfig
from pointgen.flows.solver import Solver
from pointgen.models import Autoencoder, Classifier, IRevNetConfig

SMALL = IRevNetConfig(categories=("a", "b", "c"), points=32, levels=2, blocks=2, width=16)
CENTRE, SPREAD = torch.tensor([10.0, -20.0, 30.0]), 5.0


@pytest.fixture
def model():
    model = SMALL.build()
    model.set_units(CENTRE.double(), torch.full((3,), SPREAD))
    return model


@pytest.fixture
def clouds():
    return CENTRE + SPREAD * torch.tensor([1.0, 0.2, 2.0]) * torch.randn(5, 32, 3)


def lost(back, clouds):
    """The largest distance of a point of one set to the nearest of the other, either way."""
    distances = torch.cdist(back, clouds, compute_mode="donot_use_mm_for_euclid_dist")
    return max(distances.amin(1).max(), distances.amin(2).max())


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_last_layer_gives_the_cloud_back(model, clouds, dtype, bound):
    model, clouds = model.to(dtype), clouds.to(dtype)
    codes = model.encode(clouds)
    assert codes.shape == (5, 3 * 32)
    with pytest.raises(ValueError, match="solves no ODE"):
        model.decode(codes, 32, solver=Solver(method="midpoint", steps=3))
    back = model.decode(codes, 32)
    assert back.shape == clouds.shape and lost(back, clouds) / SPREAD < bound


def test_the_volume_stays(model):
    """A bijection that only adds: its Jacobian has determinant 1."""
    network = model.network
    x = torch.randn(1, 32, 3)
    jacobian = torch.autograd.functional.jacobian(lambda x: network(x).flatten(), x).view(96, 96)
    assert jacobian.slogdet().logabsdet.abs() < 1e-10


def test_the_order_of_points_does_not_matter(model, clouds):
    clouds[:, 8:24, 1] = CENTRE[1]  # a plane, where a tree would go by the order they came in
    clouds[:, 28:] = clouds[:, 24:28]
    shuffled = clouds[:, torch.randperm(32)]
    assert torch.equal(model.encode(shuffled), model.encode(clouds))
    assert torch.equal(model.classify(shuffled), model.classify(clouds))


def test_neighbours_in_the_order_are_neighbours_in_space(model):
    """Pairs that the first level joins are nearer than points at random."""
    x = torch.randn(8, 32, 3)
    model.set_units(torch.zeros(3), torch.ones(3))
    seen = []
    model.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model.encode(x)
    pairs = seen[0].unflatten(1, (-1, 2))
    near = (pairs[:, :, 0] - pairs[:, :, 1]).norm(dim=-1).mean()
    far = (x[:, ::2] - x[:, 1::2]).norm(dim=-1).mean()
    assert near < 0.7 * far


def test_probabilities_are_some(model, clouds):
    shares = model.classify(clouds)
    assert shares.shape == (5, 3) and (shares > 0).all()
    torch.testing.assert_close(shares.sum(-1), torch.ones(5))


def test_the_loss_is_the_cross_entropy_of_the_right_categories(model, clouds):
    label = torch.tensor([0, 1, 2, 0, 1])
    loss = model.loss(Batch(clouds, label=label))
    shares = model.classify(clouds)
    torch.testing.assert_close(loss.total, -shares[range(5), label].log().mean())
    right = (shares.argmax(-1) == label).to(shares.dtype).mean()
    torch.testing.assert_close(loss.terms["accuracy"], right)
    loss.total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_it_classifies_and_encodes_in_half_precision(model, clouds):
    model.float()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(Batch(clouds.float(), label=torch.tensor([0, 1, 2, 0, 1])))
        back = model.decode(model.encode(clouds.float()), 32)
    loss.total.backward()
    assert loss.total.dtype == torch.float32 and loss.total.isfinite()
    # What half precision computes is the same on the way back, so that little is lost.
    assert lost(back, clouds.float()) / SPREAD < 2e-2


def test_between_two_clouds_lies_a_straight_way(model, clouds):
    first, second = model.encode(clouds[:2])
    way = model.between(first, second, 5)
    torch.testing.assert_close(way[2], (first + second) / 2)
    assert model.decode(way, 32).isfinite().all()


def test_it_learns_to_tell_built_in_categories():
    names = ("chair", "airplane", "mug")
    data = ProceduralConfig(categories=names, size=24, val_size=1, test_size=12, num_points=64)
    config = IRevNetConfig(categories=names, points=64, levels=3, blocks=1, width=24)
    torch.set_default_dtype(torch.float32)
    model = config.build()
    train, test = (collate(list(data.build(split))) for split in ("train", "test"))
    adam = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(40):
        adam.zero_grad()
        model.loss(train).total.backward()
        adam.step()
    with torch.no_grad():
        right = model.classify(test.points).argmax(-1) == test.label
        back = model.decode(model.encode(test.points), 64)
    assert right.float().mean() > 0.9
    assert lost(back, test.points) < 1e-5  # after training too


def test_it_says_what_it_can_do(model):
    assert isinstance(model, Autoencoder) and isinstance(model, Classifier)
    assert model.categories == ("a", "b", "c")
    with pytest.raises(ValueError, match="cannot make new shapes"):
        model.sample(1, 32)


def test_errors_are_clear(model, clouds):
    wrong = "points: expected 32 in each cloud, what this model was built for, got 31"
    for call in (model.encode, model.classify):
        with pytest.raises(ValueError, match=wrong):
            call(clouds[:, :31])
    with pytest.raises(ValueError, match=wrong):
        model.decode(model.encode(clouds), 31)
    with pytest.raises(ValueError, match="expected data with labels"):
        model.loss(Batch(clouds))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": 36}, "points: expected a multiple of 8 for 2 levels, got 36"),
        ({"categories": ("a",)}, "expected two or more to tell apart, got 1"),
        ({"categories": ("a", "b", "a")}, "expected each once, got a more than once"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        IRevNetConfig(**{**SMALL.model_dump(), **change})
