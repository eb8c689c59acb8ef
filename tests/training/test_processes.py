"""Several processes train as one, and one of them speaks and writes for all."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trimesh
from safetensors.torch import load_file

from pointgen.config import write_config
from pointgen.datasets import MeshesConfig
from pointgen.training import train

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).with_name("several.py")


@pytest.fixture(autouse=True)
def _single_precision(_double_and_seeded):
    torch.set_default_dtype(torch.float32)


def start(*command, launch=("--standalone", "--nproc-per-node=2"), cwd=None, **environment):
    """Start a program as several processes."""
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *launch, *map(str, command)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


def ended(process, status=0):
    """Wait for the end, within two minutes; return what was said."""
    try:
        said, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.terminate()  # a launcher ends those that it started
        raise
    assert process.returncode == status, said
    return said


def rows(toy, out):
    return [{k: float(v) for k, v in row.items() if v} for row in toy.outcome(out)[1]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("several")
    ended(start(PROGRAM, "whole", out))
    return out


def test_two_processes_are_one_with_the_batch_of_both(toy, tiny, trained, tmp_path):
    """Losses and validation, gradient norms, weights, their average, and moving statistics."""
    train(tiny.noiseless(), tmp_path, device="cpu")
    expected, found = rows(toy, tmp_path), rows(toy, trained / "noiseless")
    assert len(found) == 6 and found[1]["validation"] and found[0]["grad_norm"]
    for one, two in zip(expected, found, strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    expected, found = toy.outcome(tmp_path)[0], toy.outcome(trained / "noiseless")[0]
    for file, tensors in expected.items():
        for name, tensor in tensors.items():
            torch.testing.assert_close(
                found[file][name], tensor, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_a_process_may_have_one_shape(toy, tiny, trained, tmp_path):
    """Through a batch norm of two shapes hardly any gradient comes, so only one step is sharp."""
    train(tiny.noiseless(batch_size=2), tmp_path, device="cpu")
    expected, found = rows(toy, tmp_path), rows(toy, trained / "one-each")
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    assert found[-1] == pytest.approx(expected[-1], rel=1e-2)


def test_all_processes_hold_the_same_weights_averages_and_statistics(trained):
    first, second = (load_file(trained / f"of-process-{rank}.safetensors") for rank in range(2))
    assert {name.split(".")[0] for name in first if "running_var" in name} == {"model", "average"}
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("objective", ["matching", "likelihood"])
def test_two_processes_stopped_and_resumed_end_the_same_to_the_bit(toy, trained, objective):
    toy.assert_same(trained / objective, trained / f"{objective}-again")
    assert len(rows(toy, trained / objective)) == 6


def test_one_process_speaks(trained):
    assert sorted((trained / "mains").read_text().split()) == ["0", "1"]


def test_two_processes_killed_and_resumed_end_the_same_to_the_bit(toy, trained, tmp_path):
    said = ended(start(PROGRAM, "killed", tmp_path), status=1)
    assert said.count(f"exitcode  : {-signal.SIGKILL}") == 2, said
    assert rows(toy, tmp_path)[-1]["step"] == 4
    ended(start(PROGRAM, "resumed", tmp_path))
    toy.assert_same(trained / "likelihood", tmp_path)


@pytest.mark.parametrize(
    ("how", "message"),
    [("solve", "step 3: the step underflowed"), ("loss", "step 3: not finite: loss, ")],
)
def test_failure_of_one_process_ends_all_with_one_line(tiny, tmp_path, how, message):
    write_config(tiny.experiment("matching"), tmp_path / f"{how}.toml")
    said = ended(start(PROGRAM, "failing", tmp_path, how), status=1)
    assert said.count("error: ") == 1 and f"error: {message}" in said, said
    assert "Traceback" not in said.split("error: ")[0]
    assert (tmp_path / how / "state" / "last.safetensors").exists()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_two_nodes_have_caches_of_their_own_and_one_has_the_run(tiny, tmp_path):
    for index in range(4):
        (tmp_path / "meshes").mkdir(exist_ok=True)
        trimesh.creation.box((1, 1, 1 + index)).export(tmp_path / "meshes" / f"{index}.obj")
    data = MeshesConfig(
        root=tmp_path / "meshes", splits=(1, 0, 0), points_per_shape=96, num_points=32
    )
    experiment = tiny.experiment("matching", validate_every=0).model_copy(update={"data": data})
    write_config(experiment, tmp_path / "meshes.toml")

    def both(*options):
        port = free_port()
        nodes = []
        for rank in range(2):
            node = tmp_path / f"node-{rank}"
            node.mkdir(exist_ok=True)
            launch = ["--nnodes=2", "--nproc-per-node=1", f"--node-rank={rank}"]
            launch += ["--master-addr=127.0.0.1", f"--master-port={port}", "-m"]
            command = ["pointgen", "train", tmp_path / "meshes.toml", "--out", "run", *options]
            nodes.append(start(*command, launch=launch, cwd=node, XDG_CACHE_HOME=str(node)))
        return [ended(node) for node in nodes]

    first, second = both("--set", "train.steps=4")
    assert "step 4 of 4" in first and not second.strip()
    caches = [sorted(p.name for p in tmp_path.glob(f"node-{i}/pointgen/*/*")) for i in range(2)]
    assert len(caches[0]) == 4 and caches[0] == caches[1]
    assert not (tmp_path / "node-1" / "run").exists()
    first, _ = both("--resume")
    assert "step 6 of 6" in first
