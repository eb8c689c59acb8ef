"""Where to compute, and that the device of `--device` is another place than the CPU."""

import os
import sys

import pytest
import torch

from pointgen.devices import cores, torch_device


def test_a_name_is_a_device_that_is_there(device):
    assert torch_device("cpu") == device.type
    assert torch_device("auto") == ("cuda" if torch.cuda.is_available() else device.type)
    with pytest.raises(ValueError, match="device: expected auto, cpu or cuda, got tpu"):
        torch_device("tpu")


@pytest.mark.skipif(sys.platform != "linux", reason="no other system limits a process to cores")
def test_cores_are_those_that_a_process_may_use():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_nothing_crosses_unasked(device):
    if device.type == "cpu":
        pytest.skip("the CPU itself: try --device apart")
    here, there = torch.ones(2, 3, device=device), torch.ones(2, 3)
    for crossing in (
        lambda: here + there,
        lambda: there @ here.mT,
        lambda: torch.cat([here, there]),
        lambda: there[torch.zeros(1, dtype=torch.long, device=device)],
        lambda: torch.randn(2, generator=torch.Generator(), device=device),
        lambda: here.numpy(),
    ):
        with pytest.raises((RuntimeError, TypeError)):
            crossing()


def test_what_crosses_asked_or_stays_is_as_on_the_cpu(device):
    x = torch.randn(4, 3)
    weight = torch.randn(3, 3, requires_grad=True)
    moved = weight.detach().to(device).requires_grad_()
    (x @ weight).square().sum().backward()
    (x.to(device) @ moved).square().sum().backward()
    torch.testing.assert_close(moved.grad.cpu(), weight.grad)
    view = moved.detach()[:2].T
    view.zero_()
    assert view.device == moved.device and not moved[:2].any() and moved[2].all()
    assert torch.arange(5, device=device).tolist() == list(range(5))
    assert f"{moved.grad.sum():.3f}" == f"{weight.grad.sum():.3f}"
