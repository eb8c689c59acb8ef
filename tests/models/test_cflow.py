"""What C-Flow promises beyond the laws that all models keep."""

import math

import pytest
import torch

from pointgen.batch import Batch
from pointgen.geometry.hilbert import hilbert_order
from pointgen.models import Condition, ImageConditioned
from pointgen.models.cflow import CFlowConfig

CENTRE, SPREAD = torch.tensor([10.0, -20.0, 30.0]), 5.0
SMALL = {"image_size": 8, "points": 32, "levels": 2, "steps": 2, "width": 8}
BACKWARDS = {**SMALL, "direction": "cloud_to_image"}


def build(**changes):
    """A small model in far-off units, moved from where laws may hold by accident."""
    model = CFlowConfig(**{**SMALL, **changes}).build()
    model.set_units(CENTRE.double(), torch.full((3,), SPREAD))
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture
def batch():
    points, target = (CENTRE + SPREAD * torch.randn(4, 32, 3) for _ in range(2))
    return Batch(points, target, image=torch.rand(4, 3, 8, 8))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("changes", [SMALL, BACKWARDS], ids=["to clouds", "to images"])
def test_a_gradient_reaches_every_parameter(changes, batch):
    model = build(**changes).train()
    loss = model.loss(batch)
    loss.total.backward()
    assert loss.total.isfinite() and all(term.isfinite() for term in loss.terms.values())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_conditional_likelihood_is_the_jacobians(batch):
    """By autograd, through units, order and grid, from points to latents."""
    model = build(image_size=4, points=16, levels=1)
    points, image = batch.points[:1, :16], batch.image[:1, :, :4, :4]
    seen = model.given(model._image_grid(image)).activations

    def latents(x):
        return torch.cat([z.flatten() for z in model.made(model._cloud_grid(x), seen).latents])

    matrix = torch.autograd.functional.jacobian(latents, points).view(48, 48)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(latents(points)).sum()
    expected = normal + torch.linalg.slogdet(matrix)[1]
    found = model.log_prob_given(points, Condition(image))
    torch.testing.assert_close(found, expected[None])


def test_the_order_of_points_changes_nothing(batch):
    model = build()
    shuffled = Batch(batch.points, batch.target[:, torch.randperm(32)], image=batch.image)
    losses = []
    for each in (batch, shuffled):
        torch.manual_seed(1)
        losses.append(model.loss(each).total)
    assert torch.equal(*losses)
    condition = Condition(batch.image)
    first, second = (model.log_prob_given(each.target, condition) for each in (batch, shuffled))
    assert torch.equal(first, second)


def test_a_cloud_comes_back_from_the_grid_in_the_curves_order(batch):
    model = build(points=32)
    grid = model._cloud_grid(batch.points)
    assert grid.shape[2:] == (4, 8) == model.config.cloud_grid
    back = model.units.inverse(grid.flatten(2)[..., model.layout].mT)
    order = hilbert_order(model.units(batch.points)[0]).unsqueeze(-1).expand(-1, -1, 3)
    torch.testing.assert_close(back, batch.points.gather(1, order))


def test_pictures_of_bytes_are_met_by_noise_within_a_level(batch):
    model = build(image_bits=3)
    noisy, midway = (model._image_grid(batch.image, noisy=noisy) for noisy in (True, False))
    assert ((noisy - midway).abs() <= 0.5 / 8).all() and not torch.equal(noisy, midway)
    assert ((midway + 0.5 - batch.image).abs() <= 0.5 / 8 + 1e-12).all()
    white = model._image_grid(torch.ones(1, 3, 8, 8), noisy=True) + 0.5
    assert (white < 1).all() and (white >= 7 / 8).all()


def test_bits_of_an_untrained_model_are_those_of_its_normal():
    """A picture's bits bound the cost of its levels, whatever the model's scales are."""
    model = CFlowConfig(**SMALL, image_bits=4).build().eval()
    image = torch.full((2, 3, 8, 8), 0.5 + 1 / 32)
    terms = model.loss(Batch(torch.randn(2, 32, 3), image=image)).terms
    # x in a level of width 1/16 about zero: the density there is nearly that at zero
    expected = 0.5 * math.log2(2 * math.pi) + 4
    assert terms["image_bits_per_dim"].item() == pytest.approx(expected, abs=1e-2)


def test_samples_of_one_picture_differ_and_one_generator_gives_one_sample(batch):
    model = build()
    condition = Condition(batch.image[:1])
    clouds = model.sample(3, 32, generator=seeded(), condition=condition)
    assert clouds.shape == (3, 32, 3)
    assert not torch.allclose(clouds[0], clouds[1])
    assert torch.equal(clouds, model.sample(3, 32, generator=seeded(), condition=condition))
    assert not torch.equal(clouds, model.sample(3, 32, generator=seeded(1), condition=condition))


def test_a_sample_depends_on_its_picture_alone(batch, monkeypatch):
    model = build()
    clouds = model.sample(4, 32, generator=seeded(), condition=Condition(batch.image))
    swapped = Condition(batch.image[[0, 2, 1, 3]])
    others = model.sample(4, 32, generator=seeded(), condition=swapped)
    torch.testing.assert_close(others[[0, 3]], clouds[[0, 3]])
    assert not torch.allclose(others[[1, 2]], clouds[[1, 2]])
    monkeypatch.setattr("pointgen.models.cflow.GRIDS_AT_ONCE", 3)
    pieces = model.sample(4, 32, generator=seeded(), condition=Condition(batch.image))
    torch.testing.assert_close(pieces, clouds)


def test_temperature_zero_and_the_mode_are_one_cloud(batch):
    model = build()
    cold = model.sample(2, 32, temperature=0, condition=Condition(batch.image[:1]))
    torch.testing.assert_close(cold[0], cold[1])
    mode = model.sample(2, 32, condition=Condition(batch.image[:1], code="mode"))
    torch.testing.assert_close(mode, cold)


def test_fewer_points_are_some_of_the_cloud(batch):
    model = build()
    condition = Condition(batch.image)
    whole = model.sample(4, 32, generator=seeded(), condition=condition)
    part = model.sample(4, 10, generator=seeded(), condition=condition)
    assert part.shape == (4, 10, 3)
    assert torch.cdist(part, whole).min(dim=2).values.max() < 1e-6
    assert all(len(cloud.unique(dim=0)) == 10 for cloud in part)


@pytest.mark.parametrize("changes", [SMALL, BACKWARDS], ids=["to clouds", "to images"])
def test_both_are_drawn_where_nothing_is_given(changes):
    model = build(**changes)
    assert model.sample(2, 32).shape == (2, 32, 3)
    pictures = model.sample_images(2, generator=seeded())
    assert pictures.shape == (2, 3, 8, 8) and ((pictures >= 0) & (pictures <= 1)).all()
    assert torch.equal(pictures, model.sample_images(2, generator=seeded()))


def test_pictures_are_drawn_of_clouds(batch):
    model = build(**BACKWARDS)
    pictures = model.sample_images(4, batch.points, generator=seeded())
    others = model.sample_images(4, batch.target, generator=seeded())
    assert pictures.shape == (4, 3, 8, 8) and not torch.allclose(pictures, others)


def test_other_sizes_are_brought_to_the_models(batch):
    model = build()
    smooth = torch.linspace(0, 1, 8).expand(4, 3, 8, 8)
    big = torch.linspace(-1 / 14 * 3 / 4, 1 + 1 / 14 * 3 / 4, 32).clamp(0, 1).expand(4, 3, 32, 32)
    many = torch.cat([batch.points, batch.target], dim=1)
    found = model.log_prob_given(many, Condition(big), generator=seeded())
    assert torch.equal(found, model.log_prob_given(many, Condition(big), generator=seeded()))
    assert model.loss(Batch(many, image=big)).total.isfinite()
    shrunk, exact = model._image_grid(big), model._image_grid(smooth)
    torch.testing.assert_close(shrunk, exact, atol=0.05, rtol=0)


def test_likelihoods_follow_the_units(batch):
    """In units twice as large, a cloud of N points loses 3 N log 2 nats."""
    model = build()
    before = model.log_prob_given(batch.points, Condition(batch.image))
    model.set_units(2 * CENTRE.double(), torch.full((3,), 2 * SPREAD))
    after = model.log_prob_given(2 * batch.points, Condition(batch.image))
    torch.testing.assert_close(after, before - 3 * 32 * math.log(2))


def bars(count, generator):
    """Pictures of a bar and clouds of as long a one: shapes that a picture tells apart."""
    length = torch.rand(count, 1, 1, generator=generator)
    columns = (torch.arange(8) + 0.5) / 8
    image = (columns < length).double().expand(count, 8, 8)[:, None].expand(-1, 3, -1, -1)
    points = torch.rand(count, 16, 3, generator=generator) * torch.tensor([1.0, 0.1, 0.1])
    points[..., :1] *= 0.2 + length
    return Batch(points, image=image)


def test_training_prefers_the_right_picture():
    model = CFlowConfig(
        image_size=8, points=16, levels=2, steps=1, width=16, image_bits=3, cycle_share=0.5,
        condition_weight=1.0, cycle_weight=10.0, temperature=0.8,
    ).build()  # fmt: skip
    draws = seeded()
    every = bars(500, draws).points.flatten(0, 1)
    model.set_units(every.mean(0), every.std(0))
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(80):
        loss = model.loss(bars(32, draws)).total
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < sum(losses[:10]) - 10
    model.eval()
    held_out = bars(200, draws)
    right = model.log_prob_given(held_out.points, Condition(held_out.image))
    shorter_first = held_out.image.sum((1, 2, 3)).argsort()
    other = torch.empty_like(held_out.image)  # half of all bars further on in length
    other[shorter_first] = held_out.image[shorter_first.roll(100)]
    wrong = model.log_prob_given(held_out.points, Condition(other))
    assert (right > wrong).double().mean() > 0.9
    lengths = model.sample(200, 16, generator=draws, condition=Condition(held_out.image))
    lengths, truth = (cloud[..., 0].amax(1) for cloud in (lengths, held_out.points))
    assert torch.corrcoef(torch.stack([lengths, truth]))[0, 1] > 0.8


def test_it_says_what_it_is_made_for():
    assert isinstance(build(), ImageConditioned)
    assert build().image_size == 8
    assert build(**BACKWARDS).image_size is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 10}, "image_size: expected a multiple of 4 for 2 levels, got 10"),
        ({"points": 48}, "points: expected a power of two, at least 16 for 2 levels, got 48"),
        ({"points": 8}, "points: expected a power of two"),
    ],
)
def test_grids_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        CFlowConfig(**{**SMALL, **changes})


def test_what_it_cannot_do_is_said(batch):
    model, backwards = build(), build(**BACKWARDS)
    pictures = Condition(batch.image)
    asked = {
        "expected data with pictures": lambda: model.loss(Batch(batch.points)),
        r"image: expected \(B, 3, H, W\)": lambda: model.sample(
            3, 8, condition=Condition(batch.image[0])
        ),
        "1 to 32 points": lambda: model.sample(4, 33, condition=pictures),
        "condition.image: expected 1 or 3 rows, got 4": lambda: model.sample(
            3, 8, condition=pictures
        ),
        "condition.label": lambda: model.sample(
            4, 8, condition=Condition(label=torch.zeros(4).long())
        ),
        "no guidance": lambda: model.sample(4, 8, condition=Condition(batch.image, guidance=2.0)),
        "condition.image: expected one": lambda: model.log_prob_given(batch.points, Condition()),
        "points: expected 32 in each cloud, got 20": lambda: model.log_prob_given(
            batch.points[:, :20], pictures
        ),
        "points: this model makes clouds": lambda: model.sample_images(4, batch.points),
        r"p\(cloud \| picture\)": lambda: backwards.log_prob_given(batch.points, pictures),
        "condition.image: this model makes": lambda: backwards.sample(4, 8, condition=pictures),
    }
    for message, ask in asked.items():
        with pytest.raises(ValueError, match=message):
            ask()
