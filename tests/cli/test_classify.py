"""`pointgen classify`, and every other verb with a model that classifies."""

import json

import numpy as np
import pytest
import torch

from pointgen.config import read_config
from pointgen.training import train

CONFIG = """
[model]
kind = "irevnet"
categories = ["mug", "table"]
points = 64
levels = 2
blocks = 1
width = 16

[data]
kind = "procedural"
categories = ["mug", "table"]
size = 20
val_size = 2
test_size = 3
num_points = 64

[train]
steps = 40
batch_size = 20
lr = 1e-2
ema = 0.8
log_every = 10
validate_every = 20
preview_every = 40
preview_points = 2048
report_shapes = 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    (folder / "small.toml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    train(read_config(folder / "small.toml"), folder / "run", device="cpu")
    torch.set_default_dtype(before)
    return folder / "run"


@pytest.fixture(scope="module")
def clouds(folder):
    """Two held-out mugs and two tables."""
    data = read_config(folder / "small.toml").data.build("test")
    (folder / "clouds").mkdir()
    for name, place in {"mug-0": 0, "mug-1": 1, "table-0": 3, "table-1": 4}.items():
        np.savetxt(folder / "clouds" / f"{name}.xyz", data[place].points.numpy())
    return folder / "clouds"


def test_a_table_for_people(pointgen, trained, clouds):
    result = pointgen("classify", trained, clouds, "--device", "cpu")
    assert result.status == 0, result.err
    heading, *rows = (line.split() for line in result.out.splitlines())
    assert heading == ["likeliest", "mug", "table"]
    assert [(row[0], row[1]) for row in rows] == [
        ("mug-0", "mug"), ("mug-1", "mug"), ("table-0", "table"), ("table-1", "table"),
    ]  # fmt: skip
    assert all(row[-1] == "%" for row in rows)


def test_numbers_for_programs(pointgen, trained, clouds):
    result = pointgen("classify", trained, clouds / "mug-0.xyz", clouds / "table-0.xyz", "--json")
    found = json.loads(result.out)
    assert found["categories"] == ["mug", "table"]
    assert list(found["clouds"]) == ["mug-0", "table-0"]
    for name, shares in found["clouds"].items():
        assert sum(shares.values()) == pytest.approx(1)
        assert shares[name[:-2]] > 0.5


def test_a_model_that_does_not_classify_says_so(pointgen, run, clouds):
    result = pointgen("classify", run, clouds)
    assert result.status == 2
    assert result.err.startswith(f"error: {run}: its model does not tell categories apart; ")
    assert "configs/hybrid_quickstart.toml" in result.err


def test_a_cloud_of_too_few_points_is_named(pointgen, trained, clouds, tmp_path):
    np.savetxt(tmp_path / "thin.xyz", np.eye(3))
    result = pointgen("classify", trained, clouds / "mug-0.xyz", tmp_path / "thin.xyz")
    assert result.status == 2 and result.out == ""
    assert result.err.startswith("error: thin: points: expected 64 in each cloud")


def test_training_logs_accuracy_and_shows_what_comes_back(trained):
    log = (trained / "log.csv").read_text().splitlines()
    row = dict(zip(log[0].split(","), log[-1].split(","), strict=True))
    assert float(row["accuracy"]) > 0.9 and float(row["validation"]) < 0.5
    assert (trained / "samples" / "step-000040.png").is_file()
    report = json.loads((trained / "report.json").read_text())
    assert report["problems"] == []
    assert report["accuracy"] == {"mug": 1.0, "table": 1.0, "mean": 1.0}
    assert report["scores"]["accuracy"] == 1.0
    assert "CD (reconstruction)" in report["scores"]
    page = (trained / "report.html").read_text()
    assert "New shapes" not in page and "what came back of its code" in page
    assert "How often the likeliest category is the right one" in page


def test_other_verbs_do_what_such_a_model_can(pointgen, trained, clouds, tmp_path):
    assert "points      64" in pointgen("info", trained).out
    result = pointgen("reconstruct", trained, clouds, "-o", tmp_path / "back.npy", "--json")
    assert max(json.loads(result.out)["chamfer"].values()) < 1e-10
    result = pointgen("generate", trained, "-o", tmp_path / "new.npy")
    assert result.status == 2 and "cannot make new shapes" in result.err


def test_categories_and_points_are_those_of_the_data(pointgen, folder, tmp_path):
    config = folder / "small.toml"
    result = pointgen("train", config, "-o", tmp_path / "a", "--set", "data.num_points=32")
    assert "data.num_points: expected 64, the points of the model, got 32" in result.err
    other = 'model.categories=["table", "mug"]'
    result = pointgen("train", config, "-o", tmp_path / "b", "--set", other)
    assert "categories of the model: expected mug, table, as in the data" in result.err


def test_a_cloud_of_more_points_is_held_against_those_that_were_read(pointgen, trained, tmp_path):
    np.save(tmp_path / "many.npy", np.random.default_rng(0).normal(size=(1, 500, 3)))
    out = ("-o", tmp_path / "back.npy", "--json")
    found = json.loads(pointgen("reconstruct", trained, tmp_path / "many.npy", *out).out)
    assert max(found["chamfer"].values()) < 1e-10
