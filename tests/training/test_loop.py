"""The loop: resuming changes nothing, nothing bad is kept, and it stops when told to."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pointgen.files import FileError
from pointgen.flows.solver import SolveError
from pointgen.models import Loss
from pointgen.training import TrainingError
from pointgen.training.progress import Silent
from pointgen.training.state import read_state, write_state
from pointgen.training.stop import stoppable


class Notes(Silent):
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    """A run that nobody interrupted, with validation off the rhythm of saving."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    out = tmp_path_factory.mktemp("whole")
    toy.run(out, held_out=toy.Clouds(), validate_every=5)
    torch.set_default_dtype(before)
    return out


def test_killed_run_resumes_bit_for_bit(toy, whole, tmp_path):
    options = ["workers=2", "validate_every=5", "kill=8"]
    program = Path(toy.__file__)
    ended = subprocess.run(
        [sys.executable, program, tmp_path, *options], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert toy.run(tmp_path, held_out=toy.Clouds(), validate_every=5).finished
    toy.assert_same(whole, tmp_path)


@pytest.mark.parametrize(("step", "workers"), [(1, 0), (6, 2), (11, 0)])
def test_terminated_run_resumes_bit_for_bit(toy, whole, tmp_path, step, workers):
    options = {"held_out": toy.Clouds(), "validate_every": 5, "workers": workers}
    result = toy.run(tmp_path, reporter=toy.Signals(signal.SIGTERM, step), **options)
    assert (result.step, result.finished) == (step, False)
    assert toy.run(tmp_path, **options).finished
    toy.assert_same(whole, tmp_path)


def test_another_seed_gives_another_outcome(toy, whole, tmp_path):
    toy.run(tmp_path, held_out=toy.Clouds(), validate_every=5, seed=1)
    with pytest.raises(AssertionError):
        toy.assert_same(whole, tmp_path)


def test_signals_mean_what_they_meant_before(toy, tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    notes = Notes()
    notes.step = toy.Signals(signal.SIGINT, 2).step
    toy.run(tmp_path, reporter=notes)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert "step 2 of 12" in notes.said[-1] and "stopped" in notes.said[-1]


def test_second_interrupt_is_immediate(toy, tmp_path):
    class Impatient(Silent):
        def step(self, done):
            if done == 4:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        toy.run(tmp_path, reporter=Impatient())
    assert toy.run(tmp_path).finished


def test_signal_that_a_launcher_passes_on_is_the_same_request(monkeypatch):
    monkeypatch.setattr("pointgen.training.stop.several", lambda: True)
    with stoppable() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        monkeypatch.setattr("pointgen.training.stop.ECHO", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_finished_run_says_so(toy, whole):
    notes = Notes()
    assert toy.run(whole, reporter=notes).finished
    assert "already at step 12 of 12" in notes.said[-1]


def test_run_can_be_made_longer(toy, tmp_path):
    toy.run(tmp_path, schedule="constant")
    assert toy.run(tmp_path, schedule="constant", steps=14).step == 14
    assert [row["step"] for row in toy.outcome(tmp_path)[1]][-2:] == ["12", "14"]


class Breaking:
    """Makes a model's loss or gradient not finite at a step."""

    def __init__(self, toy, *, step, broken):
        self.model, self.calls = toy.Toy(), 0
        self.step, self.broken, self.loss = step, broken, self.model.loss
        self.model.loss = self

    def __call__(self, batch):
        loss, self.calls = self.loss(batch), self.calls + 1
        if self.calls <= self.step:
            return loss
        if self.broken == "solve":
            raise SolveError("points: the step underflowed")
        if self.broken == "own":
            raise AssertionError("a mistake of ours")
        if self.broken == "adjoint":
            return Loss(Failing.apply(loss.total), loss.terms)
        if self.broken == "term":
            return Loss(loss.total, {"near": loss.terms["near"] * torch.nan})
        if self.broken == "loss":
            return Loss(loss.total * torch.nan, loss.terms)
        return Loss(torch.sqrt(loss.total * 0.0), loss.terms)  # 0, but with an infinite slope


class Failing(torch.autograd.Function):
    """Fails as torchdiffeq does, on the way back."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise AssertionError("underflow in dt 0.0")


@pytest.mark.parametrize("broken", ["loss", "grad_norm"])
def test_nothing_that_is_not_finite_is_kept(toy, tmp_path, broken):
    with pytest.raises(TrainingError, match=rf"step 7: not finite: .*{broken}"):
        toy.run(tmp_path, model=Breaking(toy, step=7, broken=broken).model)
    tensors, rows = toy.outcome(tmp_path)
    assert all(t.isfinite().all() for file in tensors.values() for t in file.values())
    assert rows[-1]["step"] == "6"
    assert toy.run(tmp_path).finished


def test_failed_solve_names_the_step(toy, tmp_path):
    with pytest.raises(TrainingError, match="step 4: points: the step underflowed"):
        toy.run(tmp_path, model=Breaking(toy, step=4, broken="solve").model)


def test_failed_backward_solve_is_told_from_our_mistakes(toy, tmp_path):
    with pytest.raises(TrainingError, match="step 4: the adjoint's solve: underflow in dt"):
        toy.run(tmp_path / "a", model=Breaking(toy, step=4, broken="adjoint").model)
    with pytest.raises(AssertionError, match="a mistake of ours"):
        toy.run(tmp_path / "b", model=Breaking(toy, step=4, broken="own").model)


def test_diagnostic_may_be_nan(toy, tmp_path):
    assert toy.run(tmp_path, model=Breaking(toy, step=4, broken="term").model).finished
    assert toy.outcome(tmp_path)[1][-1]["near"] == "nan"


def test_full_disk_is_one_error_and_the_last_state_stays(toy, tmp_path, monkeypatch):
    def full(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    toy.run(tmp_path, reporter=toy.Signals(signal.SIGTERM, 5))
    with monkeypatch.context() as patch:
        patch.setattr("pointgen.training.state.save_file", full)
        with pytest.raises(TrainingError, match=r"step 6 could not be saved.*No space left"):
            toy.run(tmp_path)
    names = sorted(path.name for path in (tmp_path / "state").iterdir())
    assert names == ["last.safetensors", "previous.safetensors"]
    assert toy.run(tmp_path).finished


@pytest.mark.parametrize("saved", [False, True])
def test_file_error_is_a_training_error(toy, tmp_path, monkeypatch, saved):
    def full(*_, **__):
        raise FileError(tmp_path, "cannot be written: No space left on device")

    if saved:
        toy.run(tmp_path, reporter=toy.Signals(signal.SIGTERM, 5))
    monkeypatch.setattr("pointgen.training.loop.write_state", full)
    with pytest.raises(TrainingError, match=r"could not be saved.*No space left") as caught:
        toy.run(tmp_path)
    assert ("what was saved before is intact" in str(caught.value)) == saved


def test_loss_falls_and_weights_kept_are_the_average(toy, tmp_path):
    toy.run(tmp_path, steps=60, lr=0.05, log_every=10, schedule="linear")
    tensors, rows = toy.outcome(tmp_path)
    assert float(rows[-1]["loss"]) < 0.9 * float(rows[0]["loss"])
    state = tensors["state/last.safetensors"]
    for name, tensor in tensors["model.safetensors"].items():
        assert torch.equal(tensor, state[f"ema.{name}"])
    assert not torch.equal(state["ema.mean"], state["model.mean"])


def test_preview_that_fails_is_only_said(toy, tmp_path, monkeypatch):
    def sample(self, count, num_points, **options):
        raise SolveError("cannot be solved")

    monkeypatch.setattr(toy.Toy, "sample", sample)
    notes = Notes()
    assert toy.run(tmp_path, reporter=notes, preview_every=6).finished
    assert notes.said == [f"no preview step-{step:06}.png: cannot be solved" for step in (6, 12)]


def test_preview_is_a_picture_that_changes_nothing(toy, tmp_path):
    toy.run(tmp_path / "with", preview_every=5, preview_count=2, preview_points=32)
    toy.run(tmp_path / "without")
    toy.assert_same(tmp_path / "with", tmp_path / "without")
    pictures = sorted(p.name for p in (tmp_path / "with" / "samples").iterdir())
    assert pictures == ["step-000005.png", "step-000010.png", "step-000012.png"]


def test_bf16_trains(toy, tmp_path):
    torch.set_default_dtype(torch.float32)
    assert toy.run(tmp_path, precision="bf16").finished
    tensors, _ = toy.outcome(tmp_path)
    assert tensors["model.safetensors"]["mean"].dtype == torch.float32


def test_epochs_without_average_and_clipping(toy, tmp_path):
    result = toy.run(tmp_path, steps=None, epochs=3, ema=0.0, clip_norm=0.0)
    assert result.step == 7  # 21 shapes in batches of 3
    tensors, rows = toy.outcome(tmp_path)
    assert rows[-1]["epoch"] == "3.0"
    assert torch.equal(
        tensors["model.safetensors"]["mean"], tensors["state/last.safetensors"]["model.mean"]
    )


def test_best_of_before_counts_after_a_resume(toy, tmp_path):
    options = {"held_out": toy.Clouds(), "validate_every": 2}
    toy.run(tmp_path, reporter=toy.Signals(signal.SIGTERM, 4), **options)
    tensors, facts = read_state(tmp_path / "state", pytest.fail)
    assert facts.best == float(toy.outcome(tmp_path)[1][-1]["validation"])
    write_state(tmp_path / "state", tensors, replace(facts, best=-100.0))
    best = (tmp_path / "best.safetensors").read_bytes()
    assert toy.run(tmp_path, **options).best == -100.0
    assert (tmp_path / "best.safetensors").read_bytes() == best


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there are no terminals to shut")
def test_a_shut_terminal_ends_a_training_cleanly_unless_nohup_said_otherwise():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    try:
        with stoppable() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.requested
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with stoppable() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)
