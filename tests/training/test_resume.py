"""Real models: stopped or killed and resumed, they end as if nothing had happened, to the bit."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pointgen.training import RunError, loop, train

OBJECTIVES = ("matching", "likelihood")


@pytest.fixture(autouse=True)
def _single_precision(_double_and_seeded):
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """A run by each objective that nobody interrupted."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    out = tmp_path_factory.mktemp("whole")
    for objective in OBJECTIVES:
        assert train(tiny.experiment(objective), out / objective).finished
    torch.set_default_dtype(before)
    return out


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_stopped_run_resumes_bit_for_bit(toy, tiny, whole, tmp_path, objective):
    experiment = tiny.experiment(objective)
    assert train(experiment, tmp_path, reporter=tiny.Stopping(3)).step == 3
    torch.manual_seed(99)  # a new process has another random state
    assert train(experiment, tmp_path, resume=True).finished
    toy.assert_same(whole / objective, tmp_path)


def test_run_killed_while_saving_resumes_bit_for_bit(toy, tiny, whole, tmp_path):
    ended = subprocess.run(
        [sys.executable, Path(tiny.__file__), tmp_path, "matching", "die_in_save"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert len(list((tmp_path / "state").glob(".*.safetensors"))) == 1
    assert train(tiny.experiment("matching"), tmp_path, resume=True).finished
    toy.assert_same(whole / "matching", tmp_path)
    assert not list(tmp_path.rglob(".*"))


class Killed(BaseException):
    """Stands for the end of the process."""


# Saves of a whole run: weights of steps 2, 4, 6, each after best ones, or the states.
@pytest.mark.parametrize(("place", "saves"), [("save_weights", 5), ("write_state", 2)])
def test_run_killed_in_its_last_save_resumes_bit_for_bit(
    toy, tiny, whole, tmp_path, monkeypatch, place, saves
):
    real, left = getattr(loop, place), iter(range(saves))

    def save(*arguments, **options):
        if next(left, None) is None:
            raise Killed
        real(*arguments, **options)

    experiment = tiny.experiment("matching")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, place, save)
        train(experiment, tmp_path)
    assert toy.outcome(tmp_path)[1][-1]["step"] == "6"  # all but the save was done
    assert train(experiment, tmp_path, resume=True).finished
    toy.assert_same(whole / "matching", tmp_path)


def test_finished_run_writes_the_weights_of_its_state(toy, tiny, tmp_path):
    """A kill may leave weights of a later step than the last state."""
    train(tiny.experiment("matching", steps=4, schedule="constant"), tmp_path)
    four = toy.outcome(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert train(tiny.experiment("matching", steps=4), tmp_path, resume=True).finished
    tensors, rows = toy.outcome(tmp_path)
    assert rows == four[1]
    for name, tensor in tensors["model.safetensors"].items():
        assert torch.equal(tensor, four[0]["model.safetensors"][name])


def test_other_shapes_are_refused(tiny, tmp_path, monkeypatch):
    train(tiny.experiment("matching"), tmp_path)
    build = type(tiny.DATA).build

    def changed(self, split, **options):
        shapes = build(self, split, **options)
        shapes._source.ids = ["another", *shapes._source.ids[1:]]
        return shapes

    monkeypatch.setattr(type(tiny.DATA), "build", changed)
    with pytest.raises(RunError, match=r"the training set was 9 shapes .*, is now 9 shapes"):
        train(tiny.experiment("matching", steps=8), tmp_path, resume=True)


def test_bf16_trains_batch_norms_and_codes(toy, tiny, tmp_path):
    assert train(tiny.experiment("matching", precision="bf16"), tmp_path, device="cpu").finished
    tensors, rows = toy.outcome(tmp_path)
    assert all(0 < float(row["loss"]) < 10 for row in rows)
    floating = [t for t in tensors["model.safetensors"].values() if t.is_floating_point()]
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in floating)
