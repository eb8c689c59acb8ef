"""Several processes share the work of a verb: the result is that of one, said and written once."""

import json
import os
import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest
from torch.distributed import TCPStore

from pointgen.cli import together
from pointgen.cli.sampling import CHUNK, sample
from pointgen.training import load


@pytest.fixture
def second(monkeypatch):
    """Make this process believe that it is the second of two."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")


def launched(*arguments):
    """Run the command line as two processes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*launch, "-m", "pointgen", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_verbs_that_are_not_shared_are_done_by_the_main_process(pointgen, run, second):
    assert together.stands_by(["info", "x"]) and not together.stands_by(["train", "x"])
    said = pointgen("info", run)
    assert (said.status, said.out, said.err) == (0, "", "")


def test_first_to_fail_speaks(second, monkeypatch):
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    assert [together.speaks(), together.speaks()] == [True, False]
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert together.speaks()


def test_without_a_store_everyone_speaks(second, monkeypatch):
    monkeypatch.setattr(together, "STORE_WAIT", timedelta(seconds=1))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    assert together.speaks()


def test_a_broken_connection_is_said_in_plain_words(second, monkeypatch):
    broken = "[gloo/transport/tcp/pair.cc:537] Read error: Connection reset by peer"
    assert together.plain(broken).startswith("another process has ended")
    assert together.plain("no such file") == "no such file"
    monkeypatch.delenv("WORLD_SIZE")
    assert together.plain(broken) == broken


def test_a_seed_gives_the_same_first_clouds_however_many_follow(run):
    model = load(run)
    some, more = (sample(model, count, 8, seed=3) for count in (CHUNK, CHUNK + 3))
    assert some.equal(more[:CHUNK]) and len(more) == CHUNK + 3
    assert not more[:3].equal(more[CHUNK:])


@pytest.mark.slow
def test_two_processes_generate_what_one_does(pointgen, run, tmp_path):
    arguments = ["generate", run, "-n", 2 * CHUNK + 3, "--points", 32, "--json", "--device", "cpu"]
    alone = pointgen(*arguments, "-o", tmp_path / "one.npy")
    both = launched(*arguments, "-o", tmp_path / "two.npy")
    assert both.returncode == 0, both.stderr
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "two.npy").read_bytes()
    first, second = json.loads(alone.out), json.loads(both.stdout)
    assert first.pop("files") != second.pop("files")
    assert first == second and first["evaluations"] > 0


@pytest.mark.slow
def test_two_processes_evaluate_as_one_does(pointgen, run, tmp_path):
    arguments = ["evaluate", run, run, "--emd", "exact", "--json", "--device", "cpu"]
    alone, both = pointgen(*arguments), launched(*arguments, "-o", tmp_path / "sheet.json")
    assert both.returncode == 0, both.stderr
    assert json.loads(both.stdout) == json.loads(alone.out)
    assert json.loads((tmp_path / "sheet.json").read_text()) == json.loads(alone.out)


@pytest.mark.slow
@pytest.mark.parametrize("mistake", ["no such run", "exists", "unknown option"])
def test_a_mistake_is_one_line_for_all(run, tmp_path, mistake):
    np.save(tmp_path / "a.npy", np.zeros(3))
    arguments, said = {
        "no such run": (["generate", tmp_path, "-o", tmp_path / "b.npy"], "config.toml"),
        "exists": (["generate", run, "-o", tmp_path / "a.npy"], "a.npy: exists already"),
        "unknown option": (["evaluate", "--colour"], "--colour"),
    }[mistake]
    both = launched(*arguments)
    assert both.returncode == 1 and "exitcode  : 2" in both.stderr
    assert both.stderr.count("error: ") == 1 and said in both.stderr
    assert not (tmp_path / "b.npy").exists()


def test_what_is_not_shared_of_a_shared_verb_is_done_by_the_main_process(
    pointgen, second, tmp_path
):
    np.save(tmp_path / "a.npy", np.zeros((1, 4, 3)))
    said = pointgen("evaluate", tmp_path / "a.npy", tmp_path / "a.npy", "--pairs", "--json")
    assert (said.status, said.out, said.err) == (0, "", "")


def test_a_rank_alone_makes_no_second_process(pointgen, run, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert pointgen("info", run).out
