"""Pictures of what a model makes: of every kind of model, and without touching the training."""

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pointgen.batch import Item
from pointgen.config import TrainConfig
from pointgen.flows.solver import SolveError, Solver
from pointgen.models import IRIMConfig, PointFlowConfig
from pointgen.models.cflow import CFlowConfig
from pointgen.models.cnf import CnfConfig
from pointgen.models.conditioning import ConditionerConfig
from pointgen.models.flows import NoPrior
from pointgen.networks import ConcatSquashConfig, PointNetConfig
from pointgen.training import train
from pointgen.training.log import Log
from pointgen.training.look import evenly, look, preview

CONFIG = TrainConfig(steps=1, preview_count=3, preview_points=40)


@pytest.fixture(autouse=True)
def _single_precision(_double_and_seeded):
    torch.set_default_dtype(torch.float32)


def pointflow(**options):
    level = CnfConfig(
        field=ConcatSquashConfig(dims=(8,)), sampler=Solver(method="midpoint", steps=1)
    )
    encoder = PointNetConfig(widths=(8,), head=(8,))
    config = {"objective": "matching", "code_dim": 4, "points": level, "prior": level}
    return PointFlowConfig(**{**config, "encoder": encoder, **options}).build()


class Shapes:
    """Six shapes with pictures."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        points = torch.rand(64, 3, generator=generator)
        image = torch.rand(3, 16, 16, generator=generator)
        return Item(points, points, image, label=0, id=f"shape {index}")


def image_pointflow():
    image = {"kind": "resnet", "image_size": 16, "widths": [8]}
    return pointflow(condition=ConditionerConfig(width=8, image=image))


def cflow(direction):
    config = CFlowConfig(direction=direction, image_size=16, points=64, levels=2, steps=1, width=8)
    return config.build()


KINDS = {
    "pointflow": (pointflow, ["new shapes", "reconstructions"]),
    "autoencoder": (lambda: pointflow(prior=NoPrior()), ["reconstructions"]),
    "of pictures": (
        image_pointflow, ["new shapes", "reconstructions", "clouds from pictures"]
    ),
    "cflow": (lambda: cflow("image_to_cloud"), ["new shapes", "clouds from pictures"]),
    "restoring": (
        lambda: IRIMConfig(points=64, steps=2, width=8, hidden=8).build(), ["restored clouds"]
    ),
    "drawing": (lambda: cflow("cloud_to_image"), ["new shapes", "pictures of clouds"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_model_shows_what_it_can(kind):
    build, titles = KINDS[kind]
    seen = look(build(), Shapes(), CONFIG)
    assert not seen.problems and list(seen.parts) == titles
    for title, part in seen.parts.items():
        assert np.asarray(part.picture).std() > 5, title
        assert bool(part.clouds.isfinite().all()) and part.failed == 0


def test_without_held_out_shapes_there_are_new_ones():
    assert list(look(pointflow(), None, CONFIG).parts) == ["new shapes"]


def test_a_look_is_repeated_and_leaves_no_trace():
    model = pointflow(prior=CnfConfig(field=ConcatSquashConfig(dims=(8,)), batch_norm=True))
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    first, second = look(model, Shapes(), CONFIG), look(model, Shapes(), CONFIG)
    assert torch.equal(torch.get_rng_state(), state) and model.training
    for title, part in first.parts.items():
        assert part.picture.tobytes() == second.parts[title].picture.tobytes()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
        assert not tensor.requires_grad or tensor.grad is None
    other = look(model, Shapes(), CONFIG.model_copy(update={"seed": 1}))
    assert not torch.equal(other.parts["new shapes"].clouds, first.parts["new shapes"].clouds)


def test_a_reconstruction_stands_below_its_truth(monkeypatch):
    model = pointflow()
    monkeypatch.setattr(model, "encode", lambda points: points.flatten(1))
    monkeypatch.setattr(model, "decode", lambda codes, *_, **__: codes.unflatten(1, (-1, 3)))
    seen = look(model, Shapes(), CONFIG).parts["reconstructions"]
    whole = np.asarray(seen.picture).astype(int)
    above, below = whole[:240], whole[len(whole) // 2 :][:240]
    assert np.abs(above - below).max() == 0 and above.std() > 5
    truth = torch.stack([Shapes()[place].points for place in evenly(Shapes(), 4)])
    assert torch.equal(seen.clouds, truth)
    monkeypatch.setattr(model, "decode", lambda codes, *_, **__: codes.unflatten(1, (-1, 3)) / 2)
    small = np.asarray(look(model, Shapes(), CONFIG).parts["reconstructions"].picture)
    drawn = np.ptp(small.astype(int), axis=2) > 12  # neither white nor shadow
    assert drawn[:240].sum() > 1.3 * drawn[len(whole) // 2 :][:240].sum() > 0


def test_an_error_costs_only_its_part(tmp_path, monkeypatch):
    model = pointflow()

    def encode(points):
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(model, "encode", encode)
    shown = []
    said = preview(model, Shapes(), tmp_path / "a.png", CONFIG, shown.append)
    assert said == "preview a.png: no reconstructions: out of memory"
    assert list(shown[0]) == ["new shapes"] and Image.open(tmp_path / "a.png").width > 100
    assert model.training


def test_clouds_that_cannot_be_solved_are_counted(tmp_path, monkeypatch):
    model = pointflow()
    decode = model.decode

    def failing(codes, *arguments, **options):
        clouds = decode(codes, *arguments, **options)
        clouds[1] = torch.nan
        return clouds

    monkeypatch.setattr(model, "decode", failing)
    said = preview(model, Shapes(), tmp_path / "a.png", CONFIG, lambda _: None)
    assert "new shapes: 1 of 3 could not be solved" in said
    assert "reconstructions: 1 of 4 could not be solved" in said
    monkeypatch.setattr(
        model, "decode", lambda codes, *_, **__: torch.full((len(codes), 9, 3), torch.nan)
    )
    said = preview(model, None, tmp_path / "b.png", CONFIG, lambda _: None)
    assert said == "no preview b.png: none of 3 could be solved"
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("error", [OSError("no space"), SolveError("odd"), MemoryError("much")])
def test_nothing_that_goes_wrong_is_raised(tmp_path, error):
    def show(parts):
        raise error

    said = preview(pointflow(), Shapes(), tmp_path / "a.png", CONFIG, show)
    assert said == f"no preview a.png: {error}"


def test_places_are_spread_evenly():
    assert evenly(range(100), 4) == [0, 25, 50, 75]
    assert evenly(range(3), 4) == [0, 1, 2] and evenly([], 4) == []


def events(folder):
    found = EventAccumulator(str(folder / "tensorboard"), {"images": 0, "tensors": 0})
    return found.Reload()


def test_tensorboard_gets_pictures_and_clouds(tmp_path):
    log = Log(tmp_path, 0)
    seen = look(pointflow(), Shapes(), TrainConfig(steps=1, preview_count=3, preview_points=1500))
    for step in (2, 4):
        log.show(step, seen.parts)
    log.close()
    again = Log(tmp_path, 2)  # resumed from step 2: what was shown at 4 is of another past
    again.show(6, seen.parts)
    again.close()
    found = events(tmp_path)
    assert set(found.Tags()["images"]) == set(seen.parts)
    for title, part in seen.parts.items():
        images = found.Images(title)
        assert [image.step for image in images] == [2, 6]
        assert images[0].width == part.picture.width // 2
    vertices = found.Tensors("new shapes, to turn_VERTEX")
    shape = [dim.size for dim in vertices[0].tensor_proto.tensor_shape.dim]
    assert shape == [2, 750, 3]  # every other point, as 1500 are too many
    values = torch.tensor(vertices[0].tensor_proto.float_val).view(2, 750, 3)
    assert torch.equal(values, seen.parts["new shapes"].clouds[:2, ::2])
    size = sum(path.stat().st_size for path in (tmp_path / "tensorboard").iterdir())
    assert size < 3 * 400_000


def test_previews_of_a_real_model_change_nothing(toy, tiny, tmp_path):
    plain = tiny.experiment("matching", validate_every=0)
    looking = tiny.experiment(
        "matching", validate_every=0, preview_every=2, preview_count=1, preview_points=32
    )
    train(plain, tmp_path / "plain", device="cpu")
    train(looking, tmp_path / "looking", device="cpu", reporter=tiny.Stopping(3))
    train(looking, tmp_path / "looking", device="cpu", resume=True)
    toy.assert_same(tmp_path / "plain", tmp_path / "looking")
    names = sorted(path.name for path in (tmp_path / "looking" / "samples").iterdir())
    assert names == ["step-000002.png", "step-000004.png", "step-000006.png"]
    assert [i.step for i in events(tmp_path / "looking").Images("reconstructions")] == [2, 4, 6]


def test_missing_held_out_shapes_cost_only_their_part_of_a_preview(tiny, tmp_path, monkeypatch):
    build, said = type(tiny.DATA).build, []

    def without_val(self, split, **options):
        if split == "val":
            raise ValueError("no split val")
        return build(self, split, **options)

    monkeypatch.setattr(type(tiny.DATA), "build", without_val)
    settings = {"validate_every": 0, "preview_every": 6, "preview_count": 1, "preview_points": 32}
    reporter = tiny.Stopping(99)
    reporter.say = said.append
    experiment = tiny.experiment("matching", **settings)
    assert train(experiment, tmp_path, device="cpu", reporter=reporter).finished
    assert said == ["previews show no held-out shapes: no split val"]
    assert events(tmp_path).Tags()["images"] == ["new shapes"]
