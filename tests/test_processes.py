"""Shares of work, and statistics over several processes: run as a program, this file is one."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from pointgen.flows.affine import MovingBatchNorm
from pointgen.networks.batchnorm import BatchNorm
from pointgen.processes import ALONE, Poll, Share, moments, node_by_node, several

SHARES = (slice(0, 7), slice(7, 8))  # of the rows: uneven, and one row alone has no variance


@pytest.mark.parametrize("count", [0, 1, 5, 16])
def test_shares_are_a_partition(count):
    parts = [Share(rank, 3).of(count) for rank in range(3)]
    assert sorted(n for part in parts for n in part) == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [Share(rank, 3).main for rank in range(3)] == [True, False, False]


def test_one_process_alone_does_not_communicate():
    x = torch.randn(3)
    assert not several()
    assert ALONE.sum(x) is x
    ALONE.collect([x])
    assert node_by_node(lambda: 5, rank=0, local_rank=0, patience=timedelta(1)) == 5
    with Poll() as poll:
        assert [poll.any(True), poll.any(False)] == [True, False]


def test_alone_it_is_torchs_batch_norm():
    x = torch.randn(20, 4)
    ours, theirs = BatchNorm(4), nn.BatchNorm1d(4)
    assert torch.equal(ours(x), theirs(x))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor)


@pytest.mark.slow
def test_two_processes_with_uneven_shares_are_one():
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    ended = subprocess.run(
        [*launch, __file__], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


def network():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(5, 5), BatchNorm(5), nn.ReLU(), nn.Linear(5, 5), BatchNorm(5, eps=1e-2)
    )


def normalised(model, moving, x, weights):
    """Train on x once; return the gradient that reaches x."""
    x = x.clone().requires_grad_()
    (model(x) * weights).sum().backward()
    moving(x)
    return x.grad


def be_one_of_two():
    """Compare what two processes get together with what this one gets alone."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    x, weights = 100 + 3 * torch.randn(8, 5), torch.randn(8, 5)
    model, moving = network(), MovingBatchNorm(5)
    gradient = normalised(model, moving, x, weights)

    distributed.init_process_group("gloo")
    own = SHARES[distributed.get_rank()]
    ours, our_moving = network(), MovingBatchNorm(5)
    our_gradient = normalised(ours, our_moving, x[own], weights[own])
    torch.testing.assert_close(our_gradient, gradient[own], rtol=1e-9, atol=1e-12)
    for our, their in zip(ours.parameters(), model.parameters(), strict=True):
        distributed.all_reduce(our.grad)
        torch.testing.assert_close(our.grad, their.grad, rtol=1e-8, atol=1e-10)
    for our, their in zip(
        [*ours.buffers(), *our_moving.buffers()], [*model.buffers(), *moving.buffers()], strict=True
    ):
        torch.testing.assert_close(our, their, rtol=1e-12, atol=1e-12)

    mean, variance, count = moments(x[own])
    assert count == 8
    torch.testing.assert_close(mean, x.mean(0))
    torch.testing.assert_close(variance, x.var(0, correction=0))

    model.eval(), ours.eval()
    if distributed.get_rank() == 0:  # in eval mode nobody waits for the others
        torch.testing.assert_close(ours(x), model(x))
    share = Share(distributed.get_rank(), 2)
    pieces = [torch.full((2,), float(share.rank)) for _ in range(3)]
    share.collect(pieces)
    assert [piece.tolist() for piece in pieces] == [[0, 0], [1, 1], [0, 0]]
    assert share.sum(torch.tensor([1.0, share.rank])).tolist() == [2, 1]
    with Poll() as poll:
        assert [poll.any(step == 1 and share.rank == 1) for step in range(4)] == [0, 0, 1, 0]
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    be_one_of_two()
