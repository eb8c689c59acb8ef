"""`pointgen classify` with a hybrid: probabilities, and refusing what it does not know."""

import json

import numpy as np
import pytest
import torch

from pointgen.config import read_config
from pointgen.training import train

CONFIG = """
[model]
kind = "hybrid"
categories = ["mug", "table"]
flow_weight = 0.01

[model.flow]
code_dim = 4
prior = { kind = "glow", layers = 2, network = { width = 16, depth = 1 } }
points = { kind = "realnvp", layers = 4, network = { width = 16, depth = 1 } }
encoder = { widths = [16, 32], head = [16] }

[data]
kind = "procedural"
categories = ["mug", "table"]
size = 20
val_size = 8
test_size = 4
num_points = 64

[train]
steps = 60
batch_size = 20
lr = 1e-2
ema = 0.8
log_every = 10
report_shapes = 2
preview_points = 64
preview_count = 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hybrid")
    (folder / "small.toml").write_text(CONFIG)
    data = read_config(folder / "small.toml").data.build("test")
    (folder / "known").mkdir()
    (folder / "strange").mkdir()
    for place in range(8):
        np.savetxt(folder / "known" / f"{data.ids[place]}.xyz", data[place].points.numpy())
    rng = np.random.default_rng(0)
    for number in range(4):  # points all over, as no mug and no table has
        np.savetxt(folder / "strange" / f"swarm-{number}.xyz", rng.uniform(-0.6, 0.6, (64, 3)))
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    train(read_config(folder / "small.toml"), folder / "run", device="cpu")
    torch.set_default_dtype(before)
    return folder / "run"


def test_what_is_of_no_category_is_unknown(pointgen, trained, folder):
    arguments = (trained, folder / "known", folder / "strange", "--reject", 0.2)
    result = pointgen("classify", *arguments, "--json")
    assert result.status == 0, result.err
    found = json.loads(result.out)
    assert {f"swarm-{number}" for number in range(4)} <= set(found["unknown"])
    assert len(found["unknown"]) <= 4 + 4
    for id, share in found["as_strange"].items():
        assert 0 < share <= 1 and (share <= 0.2) == (id in found["unknown"])
    right = [id for id, row in found["clouds"].items() if row.get(id.split("_")[0], 0) > 0.5]
    assert len(right) >= 7
    table = pointgen("classify", *arguments).out.splitlines()
    assert table[0].split() == ["likeliest", "mug", "table", "as", "strange"]
    assert [line.split()[1] for line in table if "swarm-" in line] == ["unknown"] * 4


def test_results_are_drawn_below_the_clouds(pointgen, trained, folder, tmp_path):
    for verb, more in (("classify", ("--reject", 0.2)), ("score", ("--reference", 0))):
        picture = tmp_path / f"{verb}.png"
        result = pointgen(verb, trained, folder / "known", *more, "--png", picture)
        assert result.status == 0, result.err
        assert picture.read_bytes().startswith(b"\x89PNG") and f"wrote {picture}" in result.err
        again = pointgen(verb, trained, folder / "known", *more, "--png", picture)
        assert again.status == 2 and "exists already" in again.err
    wrong = pointgen("classify", trained, folder / "known", "--png", tmp_path / "a.jpg")
    assert wrong.status == 2 and "expected a name that ends in .png" in wrong.err


def test_a_larger_share_refuses_more(pointgen, trained, folder):
    def unknown(share):
        out = pointgen("classify", trained, folder / "known", "--reject", share, "--json").out
        return len(json.loads(out)["unknown"])

    assert unknown(0.12) <= unknown(0.5) <= unknown(1.0) == 8
    less = pointgen("classify", trained, folder / "known", "--reject", 0.1)
    assert less.status == 2
    assert "--reject 0.1: 16 held-out shapes tell shares of 0.118 or more" in less.err


def test_it_does_all_that_its_flow_does(pointgen, trained, folder, tmp_path):
    assert pointgen("generate", trained, "-o", tmp_path / "new.npy", "-n", 2).status == 0
    again = pointgen("reconstruct", trained, folder / "known", "-o", tmp_path / "again.npy")
    assert again.status == 0, again.err
    scored = pointgen("score", trained, folder / "known", "--reference", 4, "--json")
    assert len(json.loads(scored.out)["clouds"]) == 8
    info = pointgen("info", trained).out
    assert "linear in the prior's noise" in info and "labelled 1" not in info.split("parts")[0]
    report = json.loads((trained / "report.json").read_text())
    assert report["problems"] == [] and report["accuracy"]["mean"] > 0.5


def test_a_classifier_without_densities_cannot_refuse(pointgen, trained, folder, tmp_path):
    other = 'model={kind="irevnet", categories=["mug", "table"], points=64, levels=1, width=8}'
    assert pointgen(
        "train", folder / "small.toml", "--set", other, "--set", "train.steps=1",
        "--set", "train.report=false", "-o", tmp_path / "run",
    ).status == 0  # fmt: skip
    result = pointgen("classify", tmp_path / "run", folder / "known", "--reject", 0.1)
    assert result.status == 2 and "its model has no densities of clouds" in result.err


def test_too_few_known_shapes_are_said(pointgen, trained, folder, tmp_path):
    text = (trained / "config.toml").read_text().replace("val_size = 8", "val_size = 1")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text(text)
    (tmp_path / "run" / "model.safetensors").write_bytes(
        (trained / "model.safetensors").read_bytes()
    )
    result = pointgen("classify", tmp_path / "run", folder / "known", "--reject", 0.9)
    assert result.status == 2
    assert "expected two or more known shapes of category" in result.err


def test_categories_of_the_data_that_it_is_not_told_are_unlabelled(pointgen, folder, tmp_path):
    more = 'data.categories=["mug", "table", "torus"]'
    arguments = ("train", folder / "small.toml", "--set", more, "--set", "train.steps=2")
    assert pointgen(*arguments, "-o", tmp_path / "run").status == 0
    wrong = ("--set", 'model.categories=["table", "mug"]', "-o", tmp_path / "wrong")
    assert "expected mug, table, as in the data, got table, mug" in pointgen(*arguments, *wrong).err
