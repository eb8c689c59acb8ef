"""Several processes train as one, and one of them speaks and writes for all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch


def rows(toy, out):
    return [{k: float(v) for k, v in row.items() if v} for row in toy.outcome(out)[1]]


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("several")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    ended = subprocess.run(
        [*launch, Path(tiny.__file__), out, "several"],
        capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return out


@pytest.mark.slow
def test_two_processes_are_one_with_the_batch_of_both(toy, tiny, trained, tmp_path):
    torch.set_default_dtype(torch.float32)
    tiny.noiseless(tmp_path)
    expected, found = rows(toy, tmp_path), rows(toy, trained / "noiseless")
    assert len(found) == 6
    for one, two in zip(expected, found, strict=True):
        assert two == pytest.approx(one, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["matching", "likelihood"])
def test_two_processes_resume_bit_for_bit(toy, trained, objective):
    toy.assert_same(trained / objective, trained / f"{objective}-again")
    assert len(rows(toy, trained / objective)) == 6


@pytest.mark.slow
def test_one_process_speaks(trained):
    assert sorted((trained / "mains").read_text().split()) == ["0", "0", "1", "1"]
