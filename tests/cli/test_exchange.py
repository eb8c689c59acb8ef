"""Official PointFlow weights become a run that every verb takes, and a run becomes such weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import pointgen as pg
from pointgen.config import read_config, write_config
from pointgen.interop import to_official
from pointgen.models import HybridConfig, PointFlowConfig
from pointgen.training.checkpoint import save_weights

CONFIGS = Path(__file__).parents[2] / "configs"
FLOW = {"kind": "cnf", "field": {"kind": "concatsquash", "dims": (8,)}}
MEAN, STD = (0.1, -0.2, 0.3), (0.5,)


def checkpoint(path, content=None, **changes):
    """Write a small official checkpoint of random weights."""
    model = {"code_dim": 4, "points": FLOW, "prior": FLOW} | changes
    state = to_official(PointFlowConfig.model_validate(model).build())
    torch.save({"epoch": 7, "model": state, "optimizer": {}} | (content or {}), path)
    return state


def statistics(folder, mean=MEAN, std=STD):
    folder.mkdir()
    for name, numbers in (("mean", mean), ("std", std)):
        array = np.array(numbers, np.float32).reshape(1, 1, -1)
        np.save(folder / f"train_set_{name}.npy", array)
    return folder


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Six random shapes a split, in the layout of PC15k."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        folder = root / "02691156" / split
        folder.mkdir(parents=True)
        for number in range(6):
            np.save(folder / f"{number}.npy", rng.normal(size=(300, 3)).astype(np.float32))
    return root


@pytest.fixture
def imported(pointgen, shapes, tmp_path):
    """A run made of official weights."""
    checkpoint(tmp_path / "a.pt")
    stats = statistics(tmp_path / "stats")
    out = tmp_path / "run"
    result = pointgen("import", "pointflow", tmp_path / "a.pt", "-o", out, "--stats", stats,
                      "--root", shapes)  # fmt: skip
    assert result.status == 0, result.err
    return out


def test_a_run_is_the_published_experiment_with_the_weights_units(pointgen, imported, shapes):
    assert {path.name for path in imported.iterdir()} == {"config.toml", "model.safetensors"}
    experiment = read_config(imported / "config.toml")
    published = read_config(CONFIGS / "pointflow_airplane.toml")
    assert experiment.train == published.train
    assert experiment.data == published.data.model_copy(update={"root": shapes})
    units = pg.load(imported).units
    torch.testing.assert_close(units.mean, torch.tensor(MEAN))
    torch.testing.assert_close(units.std, torch.tensor(STD * 3))
    facts = json.loads(pointgen("info", imported, "--json").out)
    assert facts["code_dim"] == 4 and facts["objective"] == "likelihood"


def test_every_verb_takes_it(pointgen, imported, shapes, tmp_path):
    clouds, again, way = (tmp_path / f"{name}.npy" for name in ("clouds", "again", "way"))
    assert pointgen("generate", imported, "-o", clouds, "-n", 3, "--points", 50).status == 0
    assert np.load(clouds).shape == (3, 50, 3)
    pair = [shapes / "02691156" / "test" / f"{number}.npy" for number in (0, 1)]
    assert pointgen("reconstruct", imported, *pair, "-o", again).status == 0
    assert np.load(again).shape == (2, 300, 3)
    assert pointgen("interpolate", imported, *pair, "-o", way, "--points", 20).status == 0
    assert pointgen("evaluate", imported, imported, "--points", 50).status == 0


def test_its_training_goes_on(pointgen, imported, tmp_path):
    settings = ("data.num_points=32", "train.steps=2", "train.batch_size=3", "train.workers=0",
                "train.preview_every=0", "train.validate_every=0")  # fmt: skip
    overrides = [f"--set={setting}" for setting in settings]
    out = tmp_path / "longer"
    result = pointgen("train", imported / "config.toml", "--init", imported, "--out", out,
                      *overrides)  # fmt: skip
    assert result.status == 0 and "step 2 of 2" in result.err
    torch.testing.assert_close(pg.load(out).units.mean, torch.tensor(MEAN))
    assert pointgen("export", "pointflow", out, "-o", tmp_path / "b.pt").status == 0


@pytest.mark.parametrize("per_axis", [False, True])
def test_out_and_in_again_nothing_changes(pointgen, tmp_path, per_axis):
    state = checkpoint(tmp_path / "a.pt")
    stats = statistics(tmp_path / "stats", std=(0.2, 0.3, 0.4) if per_axis else STD)
    run, out, back = tmp_path / "run", tmp_path / "b.pt", tmp_path / "back"
    pointgen("import", "pointflow", tmp_path / "a.pt", "-o", run, "--stats", stats)
    assert read_config(run / "config.toml").data.normalize == ("per_axis" if per_axis else "global")
    told = pointgen("export", "pointflow", run, "-o", out, "--stats", back, "--epoch", 7)
    assert told.status == 0 and "--zdim 4 --dims 8 " in told.err
    content = torch.load(out, weights_only=True)
    assert content["epoch"] == 7 and content["optimizer"]["param_groups"][0]["lr"] == 2e-3
    assert content["model"].keys() == state.keys()
    assert all(torch.equal(content["model"][key], state[key]) for key in state)
    for name in ("train_set_mean.npy", "train_set_std.npy"):
        assert (back / name).read_bytes() == (stats / name).read_bytes()


def test_of_a_hybrid_the_flow_goes_out(pointgen, imported, tmp_path):
    experiment = read_config(imported / "config.toml")
    hybrid = HybridConfig(categories=("a", "b"), flow=experiment.model)
    model, run = hybrid.build(), tmp_path / "hybrid"
    run.mkdir()
    write_config(experiment.model_copy(update={"model": hybrid}), run / "config.toml")
    save_weights(model, run / "model.safetensors", step=1)
    assert pointgen("export", "pointflow", run, "-o", tmp_path / "b.pt", "--bare").status == 0
    written, state = torch.load(tmp_path / "b.pt", weights_only=True), to_official(model.flow)
    assert written.keys() == state.keys()
    assert all(torch.equal(written[key], state[key]) for key in state)


def test_bare_is_the_state_alone(pointgen, imported, tmp_path):
    pointgen("export", "pointflow", imported, "-o", tmp_path / "b.pt", "--bare")
    assert "encoder.module.conv1.weight" in torch.load(tmp_path / "b.pt", weights_only=True)


def test_an_autoencoder_without_statistics_says_what_that_means(pointgen, tmp_path):
    path, run = tmp_path / "a.pt", tmp_path / "run"
    checkpoint(path, prior={"kind": "none"}, posterior="deterministic")
    result = pointgen("import", "pointflow", path, "-o", run, "--categories", "all")
    assert result.status == 0 and "standardised" in result.err and "reconstruct" in result.err
    experiment = read_config(run / "config.toml")
    published = read_config(CONFIGS / "pointflow_airplane_ae.toml")
    assert experiment.train == published.train and experiment.data.categories == ("all",)
    assert pg.load(run).units.std.tolist() == [1, 1, 1]


def test_a_deterministic_encoder_before_a_latent_flow_goes_on_by_matching(pointgen, tmp_path):
    checkpoint(tmp_path / "a.pt", posterior="deterministic", objective="matching")
    result = pointgen("import", "pointflow", tmp_path / "a.pt", "-o", tmp_path / "run")
    assert result.status == 0 and "matching" in result.err
    assert read_config(tmp_path / "run" / "config.toml").model.objective == "matching"


def test_what_a_file_does_not_say_is_said(pointgen, tmp_path):
    scale = {"kind": "cnf", "field": {
        "kind": "concatsquash", "dims": (8,), "layer": "scale", "nonlinearity": "elu",
        "train_end_time": False, "end_time": 0.3,
    }}  # fmt: skip
    checkpoint(tmp_path / "a.pt", points=scale, prior=scale)
    run = tmp_path / "run"
    options = ("--layer", "scale", "--nonlinearity", "elu", "--time-length", 0.3)
    assert pointgen("import", "pointflow", tmp_path / "a.pt", "-o", run, *options).status == 0
    for flow in (read_config(run / "config.toml").model.points, pg.load(run).config.prior):
        assert flow.model_dump()["field"] == scale["field"]


def test_nothing_is_overwritten(pointgen, imported, tmp_path):
    before = (imported / "model.safetensors").read_bytes()
    refused = pointgen("import", "pointflow", tmp_path / "a.pt", "-o", imported)
    assert refused.status == 2 and "exists already" in refused.err
    assert (imported / "model.safetensors").read_bytes() == before
    target = tmp_path / "mine.pt"
    target.write_bytes(b"mine")
    refused = pointgen("export", "pointflow", imported, "-o", target)
    assert refused.status == 2 and "--force" in refused.err and target.read_bytes() == b"mine"
    refused = pointgen("export", "pointflow", imported, "-o", tmp_path / "new.pt", "--stats",
                       tmp_path / "stats")  # fmt: skip
    assert refused.status == 2 and not (tmp_path / "new.pt").exists()
    assert pointgen("export", "pointflow", imported, "-o", target, "--force").status == 0


def test_a_failed_import_leaves_nothing(pointgen, imported, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr("pointgen.training.checkpoint.save_weights", full)
    before = set(tmp_path.iterdir())
    failed = pointgen("import", "pointflow", tmp_path / "a.pt", "-o", tmp_path / "other")
    assert failed.status == 2 and set(tmp_path.iterdir()) == before


def test_mistakes_are_one_line_that_names_the_file_and_the_key(pointgen, run, tmp_path):
    path = tmp_path / "a.pt"
    state = checkpoint(path)
    state.pop("encoder.module.bn1.bias")
    torch.save(state, path)
    mistakes = {
        f"{path}: encoder.bn1.bias: missing": ("import", "pointflow", path, "-o", tmp_path / "r"),
        "train_set_mean.npy": (
            "import", "pointflow", path, "-o", tmp_path / "r", "--stats", tmp_path,
        ),
        f"{run}: cannot be exported: encoder": (
            "export", "pointflow", run, "-o", tmp_path / "b.pt",
        ),
        "config.toml": ("export", "pointflow", tmp_path / "none", "-o", tmp_path / "b.pt"),
    }  # fmt: skip
    for words, arguments in mistakes.items():
        result = pointgen(*arguments)
        assert result.status == 2 and words in result.err
        assert len(result.err.strip().splitlines()) == 1 and "Traceback" not in result.err
    assert not (tmp_path / "r").exists() and not (tmp_path / "b.pt").exists()
