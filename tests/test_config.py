"""Configs: they round trip, and an error is one line that names the file, the key and the value."""

import math
from pathlib import Path

import pytest

from pointgen.config import ConfigError, Experiment, TrainConfig, read_config, write_config

GOOD = """
[model]
kind = "pointflow"
[data]
kind = "procedural"
[train]
steps = 10
"""


@pytest.fixture
def read(tmp_path):
    def read(text=GOOD, *overrides):
        path = tmp_path / "my.toml"
        path.write_text(text)
        return read_config(path, overrides)

    return read


def test_round_trip(read, tmp_path):
    experiment = read(GOOD, "train.lr=1e-4", "train.betas=[0.5, 0.6]", "model.code_dim=7")
    write_config(experiment, tmp_path / "again.toml")
    assert read_config(tmp_path / "again.toml") == experiment
    assert experiment.train.betas == (0.5, 0.6)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("train.lr=1", 1.0),
        ("train.lr = 2.5e-4", 2.5e-4),
        ("train.tf32=true", True),
        ("train.schedule=linear", "linear"),
        ('train.schedule="linear"', "linear"),
        ("train.workers=4", 4),
    ],
)
def test_override(read, override, value):
    key = override.split("=")[0].strip().split(".")[1]
    assert vars(read(GOOD, override).train)[key] == value


def test_a_whole_section_comes_before_what_is_in_it(read):
    section = 'data={kind="procedural", categories=["mug"]}'
    for overrides in ([section, "data.num_points=99"], ["data.num_points=99", section]):
        data = read(GOOD, *overrides).data
        assert data.num_points == 99 and data.categories == ("mug",)


def test_override_makes_sections_and_the_last_one_wins(read):
    kinds = ("model.kind=pointflow", "data.kind=procedural")
    assert read("", "train.epochs=1", *kinds, "train.epochs=5").train.epochs == 5


def test_steps_and_epochs_take_each_others_place(read):
    train = read(GOOD, "train.epochs=3").train
    assert (train.steps, train.epochs) == (None, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lrr = 1.0", "train.lrr: unknown key; did you mean lr?"),
        ("zebra = 1", "train.zebra: unknown key; known are batch_size, betas,"),
        ("lr = 'fast'", "train.lr: expected a valid number, got 'fast'"),
        ("lr = 0", "train.lr: expected greater than 0, got 0"),
        ("lr = inf", "train.lr: expected a finite number, got inf"),
        ("lr = nan", "train.lr: expected"),
        ("lr = '1e-3'", "train.lr: expected a number, got '1e-3'"),
        ("batch_size = 3.0", "train.batch_size: expected an integer, got 3.0"),
        ("tf32 = 1", "train.tf32: expected true or false, got 1"),
        ("epochs = 3", "train: expected either steps or epochs, got both"),
        ("schedule = 'step'", "train.schedule: expected 'constant', 'linear' or 'cosine', got"),
        ("ema = 1.0", "train.ema: expected less than 1, got 1.0"),
        ("betas = [0.9]", "train.betas.1: expected a value, got nothing"),
        ("seed = -1", "train.seed: expected greater than or equal to 0, got -1"),
        ("lr = ", "not valid TOML: Invalid value (at line 8, column 6)"),
        ("steps = 11", "not valid TOML: Cannot overwrite a value"),
    ],
)
def test_error_in_the_file(read, tmp_path, line, message):
    with pytest.raises(ConfigError) as caught:
        read(f"{GOOD}{line}\n")
    assert str(caught.value).startswith(f"{tmp_path}/my.toml: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.code_dimm=3", "model.code_dimm: unknown key; did you mean code_dim?"),
        ("data.kind=meshs", "data.kind: expected one of clouds, hdf5, meshes,"),
        ("model.points.field.kind=mlp", "model.points.field.kind: expected one of "),
        (
            "model.points={kind='cnf', field={kind='residual', dept=1}}",
            "model.points.field.dept: unknown key; did you mean",
        ),
        (
            "model.points.solver.rtol=-1",
            "model.points.solver.rtol: expected greater than 0, got -1",
        ),
        ("optimiser.lr=3", "optimiser: unknown key; known are data, model, train"),
        ("train.lr.x=3", "train.lr: expected a valid number, got {'x': 3}"),
        ("train.steps.x=3", "--set train.steps.x=3: train.steps is not a section"),
        ("steps=3", "steps: unknown key; known are data, model, train"),
        ("train.lr", "--set: expected section.key=value, got 'train.lr'"),
        ("train.lr='a\nb'", "train.lr: expected a valid number, got"),
    ],
)
def test_error_in_an_override(read, override, message):
    with pytest.raises(ConfigError) as caught:
        read(GOOD, override)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "fitting", "wrong"), [("cflow", (256, 300), (255,)), ("irim", (256,), (255, 300))]
)
def test_points_of_the_data_fit_those_of_the_model(read, kind, fitting, wrong):
    data = 'kind="procedural"'
    if kind == "cflow":
        data = f'kind="renderings", images="x", clouds={{{data}}}'
    model = f'model={{kind="{kind}", points=256}}'
    for count in fitting:
        assert read(GOOD, model, f"data={{{data}, num_points={count}}}").data.num_points == count
    for count in wrong:
        with pytest.raises(ConfigError, match=rf"data.num_points: expected .*256.* got {count}"):
            read(GOOD, model, f"data={{{data}, num_points={count}}}")


def test_missing_sections_are_all_named(read):
    with pytest.raises(ConfigError) as caught:
        read("")
    assert all(f"{name}: expected a value" in str(caught.value) for name in Experiment.model_fields)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b""])
def test_file_that_is_no_config(tmp_path, content):
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.toml: "):
        read_config(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path)


def test_relative_paths_become_absolute(read, monkeypatch, tmp_path):
    experiment = read(GOOD, "data.kind=meshes", "data.root=here")
    monkeypatch.chdir(tmp_path)
    assert experiment.data.root == Path("here")
    assert experiment.located().data.root == tmp_path / "here"
    assert experiment.located().located() == experiment.located()


@pytest.mark.parametrize("shapes", [1, 7, 32, 1000])
def test_epochs_see_every_shape(shapes):
    config = TrainConfig(epochs=3, batch_size=32)
    steps = config.total_steps(shapes)
    assert steps == math.ceil(3 * shapes / 32)
    assert TrainConfig(steps=5).total_steps(shapes) == 5


def test_every_key_is_documented():
    assert all(field.description for field in TrainConfig.model_fields.values())


@pytest.mark.parametrize("model", ["kind='pointflow'", "kind='hybrid', categories=['a', 'b']"])
def test_only_matching_is_compiled(read, model):
    flow = "model" if "pointflow" in model else "model.flow"
    overrides = (f"model={{{model}}}", "train.compile=true")
    read(GOOD, *overrides, f"{flow}.objective=matching")
    with pytest.raises(ConfigError, match=r"train\.compile: expected false, only matching gains"):
        read(GOOD, *overrides, f"{flow}.objective=likelihood")
