"""i-RIM restores clouds in data units, learns to, and of any number of points and steps."""

import pytest
import torch
from pydantic import ValidationError

from pointgen.batch import Batch
from pointgen.config import Experiment, TrainConfig
from pointgen.datasets import ProceduralConfig
from pointgen.models import IRIMConfig, Restorer

SMALL = IRIMConfig(points=24, steps=3, width=8, hidden=12)
CENTRE, SPREAD = torch.tensor([10.0, -20.0, 30.0]).double(), 5.0
TASKS = ("complete", "denoise", "upsample")


@pytest.fixture
def model():
    model = SMALL.build()
    for parameter in model.parameters():  # it begins as the identity
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture
def batch():
    shape = torch.tensor([1.0, 0.2, 2.0])
    return Batch(*(shape * torch.randn(4, 24, 3) for _ in range(2)))


def restored(model, points, task, num_points=24, **options):
    return model.restore(
        points, task, num_points, generator=torch.Generator().manual_seed(1), **options
    )


def test_it_is_a_restorer_and_no_generator(model):
    assert isinstance(model, Restorer) and model.tasks == TASKS
    with pytest.raises(ValueError, match="cannot make new shapes"):
        model.sample(1, 24)


def test_every_parameter_gets_a_gradient(model, batch):
    loss = model.train().loss(batch)
    loss.total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert list(loss.terms) == [f"chamfer_{task}" for task in TASKS]
    assert loss.total.item() == pytest.approx(sum(loss.terms.values()).item() / 3)


def test_the_loss_falls(batch):
    torch.manual_seed(0)
    model = SMALL.build()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)

    def judged():
        torch.manual_seed(1)
        with torch.no_grad():
            return model.eval().loss(batch).total.item()

    before = judged()
    model.train()
    for _ in range(40):
        optimizer.zero_grad()
        model.train().loss(batch).total.backward()
        optimizer.step()
    assert judged() < 0.8 * before


def test_judged_after_all_steps_and_trained_after_some(model, batch, monkeypatch):
    taken = []
    whole = model.machine.forward
    monkeypatch.setattr(
        model.machine, "forward", lambda *given: taken.append(given[-1]) or whole(*given)
    )
    for _ in range(20):
        model.train().loss(batch)
    assert set(taken) == {1, 2, 3}
    taken.clear()
    model.eval().loss(batch)
    assert taken == [3, 3, 3]


@pytest.mark.parametrize("task", TASKS)
def test_results_are_in_data_units(model, batch, task):
    """Moved and scaled data, with units that say so, give moved and scaled results."""
    seen = batch.points[:, :16]
    expected = restored(model, seen, task)
    model.set_units(CENTRE, torch.full((3,), SPREAD).double())
    found = restored(model, CENTRE + SPREAD * seen, task)
    assert found.shape == (4, 4, 24, 3)
    torch.testing.assert_close(found, CENTRE + SPREAD * expected)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("given", "wanted"), [(5, 24), (24, 7), (100, 60), (3, 100)])
def test_other_numbers_of_points_and_steps(model, task, given, wanted):
    found = restored(model, torch.randn(2, given, 3), task, wanted, steps=5)
    assert found.shape == (2, 6, wanted, 3) and found.isfinite().all()
    again = restored(model, torch.randn(2, given, 3), task, wanted, steps=1)
    assert again.shape == (2, 2, wanted, 3)


def test_a_completion_starts_with_observed_points_and_noise(model):
    seen = 0.01 * torch.randn(2, 20, 3)
    start = restored(model, seen, "complete")[:, 0]
    near = torch.cdist(start, seen).amin(2) == 0
    assert near.sum(1).tolist() == [12, 12]


def test_denoising_keeps_the_order_of_points(model):
    """In parts too, which are drawn at random."""
    for count in (24, 100):
        seen = torch.randn(2, count, 3)
        assert torch.equal(restored(model, seen, "denoise", count)[:, 0], seen)


def test_the_order_of_points_moves_with_them(model):
    seen, order = torch.randn(2, 24, 3), torch.randperm(24)
    found = restored(model, seen[:, order], "denoise")
    torch.testing.assert_close(found, restored(model, seen, "denoise")[:, :, order])


def test_upsampling_starts_with_every_point(model):
    seen = 10 * torch.randn(1, 10, 3)
    start = restored(model, seen, "upsample", 30)[:, 0]
    nearest = torch.cdist(start, seen).argmin(2)
    assert nearest.unique().tolist() == list(range(10))


def test_damage_is_within_the_bounds(model):
    model.set_units(CENTRE, torch.full((3,), SPREAD).double())
    points = CENTRE + SPREAD * torch.randn(200, 24, 3)
    counts = {model.damaged(points[:2], "complete").shape[1] for _ in range(50)}
    assert min(counts) >= 12 and max(counts) <= 19 and len(counts) > 4
    counts = {model.damaged(points[:2], "upsample").shape[1] for _ in range(50)}
    assert min(counts) >= 3 and max(counts) <= 12 and len(counts) > 4
    noise = (model.damaged(points, "denoise") - points).flatten(1).std(1) / SPREAD
    assert 0.03 < noise.min() < 0.08 and 0.25 < noise.max() < 0.4


def test_what_was_not_learnt_is_refused():
    model = IRIMConfig(points=24, tasks=("denoise",)).build()
    with pytest.raises(ValueError, match=r"^this model learnt to denoise, not to complete$"):
        model.restore(torch.randn(1, 24, 3), "complete", 24)


def test_configs_that_make_no_sense_are_refused():
    for wrong in (
        {"tasks": ()}, {"tasks": ("denoise", "denoise")}, {"missing": (0.5, 0.2)},
        {"noise": (0.0, 0.1)}, {"thinned": (0.5, 1.0)},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            IRIMConfig(**wrong)


def test_clouds_of_another_size_are_refused_in_training(model):
    with pytest.raises(ValueError, match=r"expected 24 in each cloud, as in model\.points, got 30"):
        model.loss(Batch(torch.randn(2, 30, 3)))


def test_data_and_training_have_to_fit():
    """As many points in the data, and products in full precision."""
    data = ProceduralConfig(num_points=24)
    Experiment(model=SMALL, data=data, train=TrainConfig(steps=1))
    with pytest.raises(ValidationError, match=r"data\.num_points: expected 24"):
        Experiment(model=SMALL, data=ProceduralConfig(num_points=32), train=TrainConfig(steps=1))
    with pytest.raises(ValidationError, match=r"train\.tf32: expected false"):
        Experiment(model=SMALL, data=data, train=TrainConfig(steps=1, tf32=True))
