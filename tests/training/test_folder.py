"""Who may train into a folder."""

import errno
import os
import subprocess
import sys
from contextlib import contextmanager, nullcontext, suppress

import pytest

from pointgen.config import Experiment, TrainConfig
from pointgen.datasets import MeshesConfig
from pointgen.files import FileError, atomic
from pointgen.files.lock import locked
from pointgen.models import PointFlowConfig
from pointgen.training import RunError, read_run
from pointgen.training.folder import claimed

HOLD = """
import fcntl, sys
with open(sys.argv[1], "a+") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    file.write("4321")
    file.flush()
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def experiment():
    return Experiment(
        model=PointFlowConfig(),
        data=MeshesConfig(root="meshes"),
        train=TrainConfig(steps=10),
    ).located()


def changed(experiment, section, **values):
    part = getattr(experiment, section).model_copy(update=values)
    return experiment.model_copy(update={section: part})


def claim(out, experiment, *, resume=False):
    with claimed(out, experiment, resume=resume):
        pass


def test_new_folder_gets_the_config(tmp_path, experiment):
    claim(tmp_path / "a" / "b", experiment)
    assert read_run(tmp_path / "a" / "b") == experiment


def test_used_folder_is_refused(tmp_path, experiment):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(RunError, match=r"--resume.*--out"):
        claim(tmp_path, experiment)
    with pytest.raises(RunError, match="not a run"):
        claim(tmp_path, experiment, resume=True)
    with pytest.raises(RunError, match="expected a folder"):
        claim(tmp_path / "mine.txt", experiment)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def begin(out, experiment):
    """Leave a run with a state, whatever is in it."""
    claim(out, experiment)
    (out / "state" / "last.safetensors").touch()


def test_resume_may_change_what_steps_before_do_not_depend_on(tmp_path, experiment):
    begin(tmp_path, experiment)
    longer = changed(experiment, "train", steps=None, epochs=3, save_every=7, workers=1, lr=0.1)
    moved = changed(longer, "data", root=tmp_path / "elsewhere")
    claim(tmp_path, moved, resume=True)
    assert read_run(tmp_path) == moved


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "code_dim", 3),
        ("data", "num_points", 5),
        ("train", "seed", 1),
        ("train", "batch_size", 2),
        ("train", "ema", 0.0),
    ],
)
def test_resume_must_not_change_the_rest(tmp_path, experiment, section, key, value):
    begin(tmp_path, experiment)
    with pytest.raises(RunError, match=rf"{section}\.{key} was .*, is now {value}"):
        claim(tmp_path, changed(experiment, section, **{key: value}), resume=True)
    assert read_run(tmp_path) == experiment


def test_unfinished_saves_are_removed(tmp_path, experiment):
    claim(tmp_path, experiment)
    with unfinished(tmp_path / "a.safetensors"), unfinished(tmp_path / "state" / "a.safetensors"):
        (tmp_path / ".mine.toml").touch()
        claim(tmp_path, experiment, resume=True)
        assert [path.name for path in tmp_path.rglob(".*")] == [".mine.toml"]


@contextmanager
def unfinished(path):
    """Leave what a kill while writing leaves."""
    with suppress(FileError), atomic(path) as temporary:
        temporary.touch()
        yield


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("left", ["state", "lock", "config"])
def test_folder_that_was_only_begun_is_unused(tmp_path, experiment, left, resume):
    (tmp_path / "state").mkdir()
    if left != "state":
        (tmp_path / "state" / "lock").write_text("123")
    if left == "config":
        with unfinished(tmp_path / "config.toml"):
            claim(tmp_path, experiment, resume=resume)
    else:
        claim(tmp_path, experiment, resume=resume)
    assert read_run(tmp_path) == experiment


@pytest.mark.parametrize("resume", [False, True])
def test_failed_start_does_not_block_the_corrected_one(tmp_path, experiment, resume):
    claim(tmp_path, experiment)
    (tmp_path / "samples").mkdir()
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events.out.tfevents.1.host.2.0").touch()
    corrected = changed(experiment, "train", batch_size=2)
    claim(tmp_path, corrected, resume=resume)
    assert read_run(tmp_path) == corrected


LEFT = ["model.safetensors", "best.safetensors", "log.csv", "samples/a.png", "tensorboard/mine"]


@pytest.mark.parametrize("name", [*LEFT, "state/previous.safetensors"])
def test_start_that_left_something_is_used(tmp_path, experiment, name):
    claim(tmp_path, experiment)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(RunError, match="exists; continue it with --resume"):
        claim(tmp_path, experiment)


def test_config_alone_is_not_ours(tmp_path, experiment):
    (tmp_path / "config.toml").write_text("# by hand")
    with pytest.raises(RunError, match="exists"):
        claim(tmp_path, experiment)


def test_weights_without_a_state_are_not_overwritten(tmp_path, experiment):
    claim(tmp_path, experiment)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(RunError, match="state/ holds nothing to resume from"):
        claim(tmp_path, experiment, resume=True)


@pytest.mark.parametrize("name", ["best.safetensors", "log.csv"])
def test_a_training_killed_before_its_first_save_begins_again(tmp_path, experiment, name):
    claim(tmp_path, experiment)
    (tmp_path / name).touch()
    claim(tmp_path, experiment, resume=True)


@pytest.mark.parametrize("name", ["state", "state/last.safetensors", "mine"])
def test_what_is_not_ours_alone_is_used(tmp_path, experiment, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(RunError, match="exists; continue it with --resume"):
        claim(tmp_path, experiment)


def test_one_training_at_a_time(tmp_path, experiment):
    claim(tmp_path, experiment)
    lock = tmp_path / "state" / "lock"
    lock.write_text("")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=r"another training uses this folder \(process 4321\)"):
            claim(tmp_path, experiment, resume=True)
        other.kill()
    claim(tmp_path, experiment, resume=True)


@pytest.mark.parametrize(("number", "protected"), [(errno.EAGAIN, True), (errno.ENOLCK, False)])
def test_a_file_system_without_locks_is_used_all_the_same(tmp_path, monkeypatch, number, protected):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.lockf", refuse)
    entered = []
    outcome = pytest.raises(ValueError, match="of unknown") if protected else nullcontext()
    with outcome, locked(tmp_path / "lock", lambda who: ValueError(f"of {who}")):
        entered.append(True)
    assert bool(entered) != protected
