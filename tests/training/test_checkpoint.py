"""Weights on disk: they come back, or one line says which file is wrong."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from pointgen.config import Experiment, TrainConfig, write_config
from pointgen.datasets import ProceduralConfig
from pointgen.models import PointFlowConfig
from pointgen.training import RunError, load, read_run, save_weights


@pytest.fixture(scope="module")
def experiment():
    return Experiment(
        model=PointFlowConfig(code_dim=4),
        data=ProceduralConfig(),
        train=TrainConfig(steps=1),
    )


@pytest.fixture
def run(tmp_path, experiment):
    model = experiment.model.build()
    write_config(experiment, tmp_path / "config.toml")
    save_weights(model, tmp_path / "model.safetensors", step=5)
    save_weights(model, tmp_path / "best.safetensors", step=3)
    return tmp_path


def test_weights_come_back(run, experiment):
    state = torch.get_rng_state()
    model, best = load(run), load(str(run / "best.safetensors"))
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    saved = load_file(run / "model.safetensors")
    for loaded in (model, best, load(run, weights="best")):
        assert all(torch.equal(t, saved[name]) for name, t in loaded.state_dict().items())
    assert read_run(run) == read_run(run / "best.safetensors") == experiment


def test_metadata(run):
    with safe_open(run / "model.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["pointgen"])["step"] == 5


def test_equal_weights_are_equal_files(tmp_path):
    model = torch.nn.Linear(2, 2)
    files = [tmp_path / f"{number}.safetensors" for number in range(8)]
    for file in files:
        save_weights(model, file, step=5)
    assert len({file.read_bytes() for file in files}) == 1


def test_shared_and_strided_tensors_are_saved(tmp_path):
    module = nn.Linear(3, 3)
    module.register_buffer("view", module.weight.detach().T[:2])
    module.register_buffer("wide", torch.zeros(1).expand(4))
    save_weights(module, tmp_path / "w.safetensors", step=0)
    found = load_file(tmp_path / "w.safetensors")
    assert torch.equal(found["view"], module.weight.T[:2])
    assert found["wide"].shape == (4,)


def rewrite(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


def damage(run, how):
    path = run / "model.safetensors"
    name = "encoder.extra"
    first = sorted(load_file(path))[0]
    match how:
        case "cut":
            path.write_bytes(path.read_bytes()[:-1])
        case "pickle":
            path.write_bytes(pickle.dumps(Bomb(run / "exploded")))
        case "torch":
            torch.save({first: Bomb(run / "exploded")}, path)
        case "missing":
            path.unlink()
        case "fewer":
            rewrite(path, lambda tensors: tensors.pop(first))
        case "more":
            rewrite(path, lambda tensors: tensors.update({name: torch.zeros(1)}))
        case "shape":
            rewrite(path, lambda tensors: tensors.update({first: torch.zeros(1, 2, 3)}))
        case "no config":
            (run / "config.toml").unlink()
        case "bad config":
            (run / "config.toml").write_text("[model]\nkinds = 3")
    return first


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "model.safetensors: not a readable safetensors file"),
        ("pickle", "model.safetensors: not a readable safetensors file"),
        ("torch", "model.safetensors: not a readable safetensors file"),
        ("missing", "model.safetensors: no such file"),
        ("fewer", "model.safetensors: weights do not fit the model: {first} missing"),
        ("more", "model.safetensors: weights do not fit the model: encoder.extra not part of it"),
        ("shape", "model.safetensors: weights do not fit the model: {first}: expected ("),
        ("no config", "not a run, there is no"),
        ("bad config", "config.toml: "),
    ],
)
def test_what_cannot_be_loaded_is_one_clear_error(run, how, message):
    first = damage(run, how)
    with pytest.raises(RunError) as caught:
        load(run)
    assert message.format(first=first) in str(caught.value)
    assert str(run) in str(caught.value) and "\n" not in str(caught.value)
    assert not (run / "exploded").exists()


def test_header_that_lies_about_its_length(run):
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    content = len(header).to_bytes(8, "little") + header.encode()
    for lie in (content, (2**62).to_bytes(8, "little") + content[8:]):
        (run / "model.safetensors").write_bytes(lie)
        with pytest.raises(RunError, match="not a readable"):
            load(run)
