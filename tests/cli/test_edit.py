"""`pointgen edit`: an interpretation of a small run, from training to pictures."""

import json

import numpy as np
import pytest
import torch

from pointgen.config import read_config
from pointgen.training import train

CONFIG = """
[model]
kind = "interpretation"
run = "RUN"
transform = { kind = "glow", layers = 2, network = { width = 16, depth = 1 } }

[model.factors.legs]
size = 2
attributes = ["seat_height", "legs"]

[model.factors.back]
size = 1
attributes = ["back_height"]

[data]
kind = "pairs"
num_points = 64

[data.clouds]
kind = "procedural"
categories = ["chair"]
size = 16
val_size = 2
test_size = 2

[train]
steps = 6
batch_size = 8
log_every = 2
validate_every = 3
preview_every = 6
preview_points = 64
preview_count = 1
report_shapes = 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, run):
    folder = tmp_path_factory.mktemp("interpretation")
    (folder / "small.toml").write_text(CONFIG.replace("RUN", str(run)))
    data = read_config(folder / "small.toml").data.build("test")
    for name, place in {"a": 0, "b": 1}.items():
        np.savetxt(folder / f"{name}.xyz", data[place].points.numpy())
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    train(read_config(folder / "small.toml"), folder / "run", device="cpu")
    torch.set_default_dtype(before)
    return folder / "run"


def test_a_swap_is_written_drawn_and_told(pointgen, trained, folder, tmp_path):
    result = pointgen(
        "edit", trained, folder / "a.xyz", "--factor", "legs", "--from", folder / "b.xyz",
        "-o", tmp_path / "new.npy", "--png", tmp_path / "new.png", "--json",
    )  # fmt: skip
    assert result.status == 0, result.err
    assert np.load(tmp_path / "new.npy").shape == (1, 64, 3)
    assert (tmp_path / "new.png").read_bytes().startswith(b"\x89PNG")
    attributes = json.loads(result.out)["attributes"]["a"]
    assert set(attributes["before"]) == {"seat_height", "legs", "back_height"}
    assert attributes["before"]["seat_height"] != attributes["after"]["seat_height"]
    same = pytest.approx(attributes["after"]["back_height"], abs=1e-4)
    assert attributes["before"]["back_height"] == same


def test_nothing_changed_is_a_reconstruction(pointgen, trained, folder, tmp_path):
    options = ("--points", 50, "--seed", 3, "-o")
    pointgen("edit", trained, folder / "a.xyz", "--scale", "back=1", *options, tmp_path / "a.npy")
    pointgen("reconstruct", trained, folder / "a.xyz", *options, tmp_path / "b.npy")
    np.testing.assert_allclose(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"), atol=1e-4)


def test_an_attribute_is_set(pointgen, trained, folder, tmp_path):
    out = pointgen(
        "edit", trained, folder / "a.xyz", folder / "b.xyz", "--set", "seat_height=0.5",
        "--set", "back_height=0.3", "-o", tmp_path / "new", "--json",
    ).out  # fmt: skip
    for attributes in json.loads(out)["attributes"].values():
        assert attributes["after"]["seat_height"] == pytest.approx(0.5, abs=1e-3)
        assert attributes["after"]["back_height"] == pytest.approx(0.3, abs=1e-3)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.ply", "b.ply"]


def test_the_way_begins_unchanged(pointgen, trained, folder, tmp_path):
    way = ("--factor", "legs", "--from", folder / "b.xyz", "-n", 3, "-o", tmp_path / "way")
    assert pointgen("edit", trained, folder / "a.xyz", *way).status == 0
    names = sorted(path.name for path in (tmp_path / "way").iterdir())
    assert names == ["a-00.ply", "a-01.ply", "a-02.ply"]


def test_the_run_holds_all_that_it_needs(pointgen, trained, run, folder):
    weights = trained / "model.safetensors"
    from safetensors.torch import load_file

    inside = load_file(weights)
    for name, value in load_file(run / "model.safetensors").items():
        assert inside[f"flow.{name}"].equal(value), name
    info = pointgen("info", trained).out
    assert "legs, back" in info and "seat_height" in info
    report = json.loads((trained / "report.json").read_text())
    assert report["problems"] == []
    assert (trained / "samples" / "step-000006.png").is_file()
    assert float((trained / "log.csv").read_text().splitlines()[-1].split(",")[-1])  # validation


def test_it_is_resumed_to_the_last_bit(pointgen, trained, folder):
    from safetensors.torch import load_file

    out = folder / "again"
    steps = ("--set", "train.steps=3", "--set", "train.schedule=constant")
    constant = ("--set", "train.schedule=constant", "--set", "train.report=false")
    config = folder / "small.toml"
    assert pointgen("train", config, *constant, "-o", folder / "whole").status == 0
    assert pointgen("train", config, *constant, *steps, "-o", out).status == 0
    assert pointgen("train", config, *constant, "-o", out, "--resume").status == 0
    whole, again = (load_file(path / "model.safetensors") for path in (folder / "whole", out))
    assert all(value.equal(again[name]) for name, value in whole.items())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "expected --factor with --from, --scale or --set"),
        (("--factor", "legs"), "--factor and --from: expected both or neither"),
        (("--scale", "legs"), "--scale legs: expected NAME=NUMBER, as legs=1.5"),
        (("--scale", "legs=nan"), "--scale legs=nan: expected NAME=NUMBER"),
        (("--scale", "wings=2"), "factor wings: expected one of legs, back, rest"),
        (("--set", "wings=2"), "attribute wings: expected one of seat_height, legs"),
    ],
)
def test_mistakes_are_one_line(pointgen, trained, folder, tmp_path, options, said):
    result = pointgen("edit", trained, folder / "a.xyz", *options, "-o", tmp_path / "new.npy")
    assert result.status == 2 and said in result.err and result.err.count("\n") == 1
    assert not (tmp_path / "new.npy").exists()


def test_a_run_without_factors_says_what_has_them(pointgen, run, folder, tmp_path):
    result = pointgen("edit", run, folder / "a.xyz", "--scale", "legs=2", "-o", tmp_path / "n.npy")
    assert result.status == 2 and "configs/edit_quickstart.toml" in result.err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("model.run=nowhere",), "not a run"),
        (("model.factors.legs.size=9",), "sizes of 4 numbers together at most"),
        (("data.normalize=shape_unit",), "data.normalize: expected global, as in"),
        (('data.factors={legs=["seat_height"]}',), "data.factors: expected those of the model"),
        (('data={kind="procedural"}',), "data.kind: expected pairs"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(
    pointgen, folder, tmp_path, settings, said
):
    more = [part for setting in settings for part in ("--set", setting)]
    result = pointgen("train", folder / "small.toml", *more, "-o", tmp_path / "run")
    assert result.status == 2 and said in result.err
    assert not (tmp_path / "run").exists()


def test_what_became_of_the_attributes_is_said(pointgen, trained, folder, tmp_path):
    said = pointgen(
        "edit", trained, folder / "a.xyz", "--set", "legs=0.5", "-o", tmp_path / "b.xyz"
    )
    assert "legs, on average: " in said.err and ", 0.5 after" in said.err
    assert "back_height" not in said.err and "warning" not in said.err
    far = pointgen("edit", trained, folder / "a.xyz", "--set", "legs=99", "-o", tmp_path / "c.xyz")
    assert far.status == 0 and "warning: legs=99 is far from all" in far.err
