"""From a config to a run with the real models and data."""

from datetime import timedelta

import pytest
import torch
from safetensors.torch import load_file

from pointgen.cli.train import train as command_line_train
from pointgen.config import TrainConfig, read_config
from pointgen.datasets import MeshesConfig
from pointgen.training import Result, RunError, load, read_run, train
from pointgen.training.progress import Silent
from pointgen.training.start import accelerator_for

TEXT = """
[model]
kind = "pointflow"
objective = "matching"
code_dim = 4
encoder = {kind = "pointnet", widths = [8], head = [8]}
[model.points]
kind = "cnf"
field = {kind = "concatsquash", dims = [8]}
solver = {method = "heun", steps = 2}
[model.prior]
kind = "cnf"
field = {kind = "concatsquash", dims = [8]}
solver = {method = "heun", steps = 2}
[data]
kind = "procedural"
size = 8
num_points = 32
[train]
steps = 4
batch_size = 2
log_every = 1
save_every = 2
report = false
"""
DATA_AND_TRAIN = TEXT[TEXT.index("[data]") :]


@pytest.fixture(autouse=True)
def _single_precision():
    torch.set_default_dtype(torch.float32)


class Notes(Silent):
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TEXT)
    return lambda *overrides: read_config(path, overrides)


def test_a_run_is_trained_loaded_and_continued(config, tmp_path):
    out = tmp_path / "runs" / "tiny"
    assert train(config(), out).finished
    clouds = load(out).sample(2, 16, generator=torch.Generator().manual_seed(0))
    assert clouds.shape == (2, 16, 3) and clouds.isfinite().all()
    with pytest.raises(RunError, match="--resume"):
        train(config(), out)
    assert train(config("train.steps=6"), out, resume=True).step == 6
    assert read_run(out).train.steps == 6

    likelihood = config("model.objective=likelihood", "train.steps=1", "train.lr=1e-9")
    train(likelihood, tmp_path / "next", init=out)
    before, after = (load_file(run / "model.safetensors") for run in (out, tmp_path / "next"))
    frozen = [name for name in before if name.endswith("weight")]
    assert frozen
    for name in frozen:
        torch.testing.assert_close(before[name], after[name], rtol=0, atol=1e-6)


def test_resume_without_a_run_begins(config, tmp_path):
    assert train(config("train.steps=1"), tmp_path / "new", resume=True).finished


def test_weights_of_another_architecture_are_refused(config, tmp_path):
    train(config("train.steps=1"), tmp_path / "small")
    with pytest.raises(RunError, match=r"small/model\.safetensors: weights do not fit the model"):
        train(config("model.code_dim=5"), tmp_path / "large", init=tmp_path / "small")


def test_start_that_fails_leaves_nothing(config, tmp_path):
    out = tmp_path / "new"
    with pytest.raises(RunError, match="no such file"):
        train(config(), out, init=tmp_path / "nowhere.safetensors")
    experiment = config()
    missing = experiment.model_copy(update={"data": MeshesConfig(root=tmp_path / "mine")})
    with pytest.raises((ValueError, OSError), match="mine"):
        train(missing, out)
    assert not out.exists()


def test_init_and_resume_exclude_each_other(config, tmp_path):
    with pytest.raises(ValueError, match="--init starts a new run, --resume continues one"):
        train(config(), tmp_path / "new", init=tmp_path, resume=True)
    with pytest.raises(ValueError, match="--init starts a new run, --resume continues one"):
        command_line_train(tmp_path / "tiny.toml", init=tmp_path, resume=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("prior", "hint"), [("cnf", "pointgen generate"), ("none", "pointgen reconstruct")]
)
def test_hint_suits_the_model(tmp_path, monkeypatch, capsys, prior, hint):
    (tmp_path / "tiny.toml").write_text(TEXT.split("[model.prior]")[0] + DATA_AND_TRAIN)
    result = Result(tmp_path, 4, 4, None, 1.0)
    monkeypatch.setattr("pointgen.training.start.train", lambda *_, **__: result)
    command_line_train(tmp_path / "tiny.toml", [f"model.prior.kind={prior}"])
    assert f"next: {hint} " in capsys.readouterr().err


def test_what_the_machine_lacks_is_said(config, tmp_path):
    with pytest.raises(ValueError, match="device: expected auto, cpu or cuda, got tpu"):
        train(config(), tmp_path / "a", device="tpu")
    with pytest.raises(ValueError, match=r"train\.precision: fp16 needs"):
        train(config("train.precision=fp16"), tmp_path / "a", device="cpu")
    with pytest.raises(ValueError, match=r"train\.batch_size: expected at least 2"):
        train(config("train.batch_size=1"), tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.needs("c++")
@pytest.mark.slow
def test_compiled_it_trains_the_same_weights_and_resumes(config, tiny, tmp_path):
    weights = {}
    for name, overrides in {"plain": [], "compiled": ["train.compile=true"]}.items():
        # Adam divides by the gradient's size, which is rounding for a bias before a batch norm.
        experiment = config(*overrides, "train.eps=1e-3")
        train(experiment, tmp_path / name, reporter=tiny.Stopping(2))
        train(experiment, tmp_path / name, resume=True)
        weights[name] = load_file(tmp_path / name / "model.safetensors")
    assert list(weights["plain"]) == list(weights["compiled"])
    for name, expected in weights["plain"].items():
        torch.testing.assert_close(weights["compiled"][name], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tf32", ["true", "false"])
def test_precision_of_products_is_put_back(config, tmp_path, tf32):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        train(config("train.steps=1", f"train.tf32={tf32}"), tmp_path / "a")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_models_split_over_processes_are_refused(monkeypatch):
    monkeypatch.setattr("pointgen.training.start.DATA_PARALLEL", frozenset())
    with pytest.raises(ValueError, match="expected a whole model in every process"):
        accelerator_for(TrainConfig(steps=1), "cpu")


def test_settings_that_the_data_make_pointless_are_said(config, tmp_path):
    notes = Notes()
    train(config("train.warmup=4", "train.batch_size=12"), tmp_path / "a", reporter=notes)
    assert "train.warmup: 4 of 4 steps, so train.lr is never reached" in notes.said
    assert "train.batch_size: 12, but there are 8 shapes" in notes.said
    notes = Notes()
    train(config(), tmp_path / "b", reporter=notes)
    assert not [text for text in notes.said if "warmup" in text or "batch_size" in text]


def test_the_config_decides_not_the_launcher(config, tmp_path, monkeypatch):
    train(config(), tmp_path / "plain", device="cpu")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    notes = Notes()
    train(config(), tmp_path / "told", device="cpu", reporter=notes)
    assert notes.said[0] == "train.precision is fp32: --mixed_precision bf16 is ignored"
    first, second = (load_file(tmp_path / run / "model.safetensors") for run in ("plain", "told"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_processes_wait_for_slow_saves_but_not_forever():
    accelerator = accelerator_for(TrainConfig(steps=1), "cpu")
    assert timedelta(minutes=30) < accelerator.init_handler.timeout < timedelta(hours=2)


@pytest.mark.parametrize("main", [True, False])
def test_only_the_main_process_says_how_it_ended(tmp_path, monkeypatch, capsys, main):
    (tmp_path / "tiny.toml").write_text(TEXT)
    result = Result(tmp_path, 4, 4, None, 1.0, main=main)
    monkeypatch.setattr("pointgen.training.start.train", lambda *_, **__: result)
    command_line_train(tmp_path / "tiny.toml")
    said = capsys.readouterr()
    assert ("step 4 of 4" in said.out + said.err) == main
    assert main or not said.out + said.err
