"""Every test runs in float64 with a forked, seeded random state, unless it asks otherwise."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _double_and_seeded():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_default_dtype(before)
