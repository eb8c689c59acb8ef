"""A PointFlow whose codes are conditioned by a picture, a category, or both."""

import pytest
import torch

from pointgen.batch import Batch
from pointgen.flows.solver import Solver
from pointgen.models import Condition, ImageConditioned, PointFlowConfig, SeesImages
from pointgen.models.cnf import CnfConfig
from pointgen.models.conditioning import ConditionerConfig
from pointgen.models.flows import NoPrior
from pointgen.models.prior import choose_codes
from pointgen.networks import (
    ConcatSquashConfig,
    ImageResNetConfig,
    PointNetConfig,
    ResidualConfig,
)

ENCODER = PointNetConfig(widths=(16, 32), head=(16,))
FLOW = CnfConfig(
    field=ResidualConfig(width=16, depth=2, condition_width=16),
    sampler=Solver(method="midpoint", steps=4),
    batch_norm=False,
)
PAPER = CnfConfig(field=ConcatSquashConfig(dims=(16, 16)), solver=Solver(rtol=1e-3, atol=1e-3))
IMAGES = ImageResNetConfig(image_size=16, widths=(8, 8))
BOTH = ConditionerConfig(image=IMAGES, categories=("flat", "tall"), width=16, drop=0.2)


def pointflow(condition=BOTH, objective="matching", **more):
    flow = FLOW if objective == "matching" else PAPER
    return PointFlowConfig(
        objective=objective,
        code_dim=3,
        encoder=ENCODER,
        points=flow,
        prior=flow,
        condition=condition,
        **more,
    ).build()


def pairs(count):
    """Boxes whose height is how dark the lower part of their picture is, and their category."""
    height = 0.2 + 2 * torch.rand(count)
    image = torch.ones(count, 3, 16, 16)
    image[:, :, 8:] -= height.view(-1, 1, 1, 1) / 2.5
    sides = torch.stack([torch.ones(count), height, torch.ones(count)], -1).unsqueeze(1)
    points, target = (sides * (torch.rand(count, 32, 3) - 0.5) for _ in range(2))
    return Batch(points, target, image, (height > 1.2).long())


@pytest.fixture(scope="module")
def trained():
    """Trained for seconds, with images alone, so that it knows what pictures say."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(1)
    condition = BOTH.model_copy(update={"categories": ()})
    model = pointflow(condition, kl_weight=1e-3).train()
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(150):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / 150)
        optimizer.zero_grad()
        model.loss(pairs(32)).total.backward()
        optimizer.step()
    torch.set_default_dtype(before)
    return model.double().eval()


def heights(clouds):
    return clouds[..., 1].std(1)


@pytest.mark.parametrize("objective", ["matching", "likelihood"])
def test_a_gradient_reaches_every_parameter(objective):
    model = pointflow(objective=objective)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    model.loss(pairs(12)).total.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_samples_follow_the_picture(trained):
    batch = pairs(24)
    clouds = trained.sample(24, 256, condition=Condition(batch.image, code="mean"))
    truth = heights(batch.target)
    assert torch.corrcoef(torch.stack([heights(clouds), truth]))[0, 1] > 0.9


def test_the_right_picture_is_more_likely_than_another(trained):
    batch = pairs(24)
    generator = torch.Generator().manual_seed(0)
    right = trained.log_prob_given(batch.target, Condition(batch.image), generator=generator)
    generator = torch.Generator().manual_seed(0)
    other = Condition(batch.image.roll(1, 0))
    wrong = trained.log_prob_given(batch.target, other, generator=generator)
    assert (right > wrong).double().mean() > 0.75


def test_samples_for_one_picture_differ_and_means_do_less(trained):
    batch = pairs(1)

    def spread(**options):
        clouds = trained.sample(12, 256, condition=Condition(batch.image, **options))
        return heights(clouds).std()

    assert spread() > 0
    assert spread(code="mean") < spread()


def test_the_mean_is_of_the_codes_that_were_solved():
    model, condition = pointflow().eval(), Condition(code="mean")
    prior, noise = model.prior, torch.randn(2, 8, 3)
    wanted = choose_codes(prior, noise[:, 1:], condition, model._context)
    noise[:, 0] = torch.nan
    torch.testing.assert_close(choose_codes(prior, noise, condition, model._context), wanted)


@pytest.mark.parametrize("objective", ["matching", "likelihood"])
def test_codes_between_two_start_and_end_there(objective):
    model = pointflow(objective=objective).eval()
    with torch.no_grad():  # or the flows hardly move anything
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    first, second = torch.randn(2, 3)
    way = model.between(first, second, 5)
    torch.testing.assert_close(way[[0, -1]], torch.stack([first, second]), atol=0.1, rtol=0)


def test_the_mode_is_likelier_than_samples(trained):
    batch, codes = pairs(4), []
    condition = Condition(batch.image)
    decode = trained.decode
    trained.decode = lambda code, *_, **__: codes.append(code)
    try:
        trained.sample(4, 8, condition=condition)
        trained.sample(4, 8, condition=Condition(batch.image, code="mode"))
    finally:
        trained.decode = decode
    sampled, mode = (trained.log_prior(code, condition).mean() for code in codes)
    assert mode > sampled


def test_guidance_of_one_is_none_and_more_moves_the_code(trained):
    image = pairs(3).image

    def drawn(**options):
        generator = torch.Generator().manual_seed(3)
        return trained.sample(3, 16, generator=generator, condition=Condition(image, **options))

    assert torch.equal(drawn(), drawn(guidance=1.0))
    assert not torch.allclose(drawn(), drawn(guidance=2.0))


def test_without_a_picture_it_samples_what_it_was_trained_without(trained):
    assert trained.sample(3, 8).isfinite().all()


def test_one_row_serves_all_samples():
    model = pointflow().eval()
    batch = pairs(2)
    one = Condition(batch.image[:1], batch.label[:1])
    many = Condition(batch.image[:1].expand(4, -1, -1, -1), batch.label[:1].expand(4))
    draws = [
        model.sample(4, 8, generator=torch.Generator().manual_seed(0), condition=condition)
        for condition in (one, many)
    ]
    torch.testing.assert_close(*draws)


def test_it_says_what_it_can():
    model = pointflow()
    assert isinstance(model, ImageConditioned) and model.image_size == 16
    assert isinstance(model, SeesImages) and model.see(pairs(2).image).shape == (2, 16)
    plain = pointflow(None)
    assert plain.image_size is None
    with pytest.raises(ValueError, match="takes no pictures"):
        plain.see(pairs(1).image)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (Condition(label=torch.tensor([2])), "numbers below 2"),
        (Condition(torch.rand(3, 3, 16, 16)), "expected 1 or 2 rows, got 3"),
    ],
)
def test_conditions_that_cannot_be_are_refused(condition, message):
    with pytest.raises(ValueError, match=message):
        pointflow().eval().sample(2, 8, condition=condition)


def test_what_a_model_was_not_told_of_is_refused():
    batch = pairs(2)
    with pytest.raises(ValueError, match="neither pictures nor categories"):
        pointflow(None).sample(2, 8, condition=Condition(batch.image))
    only = ConditionerConfig(categories=("flat", "tall"))
    with pytest.raises(ValueError, match="image: this model does not take one"):
        pointflow(only).sample(2, 8, condition=Condition(batch.image))
    with pytest.raises(ValueError, match="no condition to be guided by"):
        pointflow(None).sample(2, 8, condition=Condition(guidance=2))
    never = BOTH.model_copy(update={"drop": 0.0})
    with pytest.raises(ValueError, match="never trained without"):
        pointflow(never).sample(2, 8)
    with pytest.raises(ValueError, match="expected data with pictures"):
        pointflow().loss(Batch(batch.points))


def test_configs_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="image or categories, got neither"):
        ConditionerConfig()
    with pytest.raises(ValueError, match="no flow to be conditioned"):
        PointFlowConfig(prior=NoPrior(), condition=BOTH)
