"""The auctions' kernels, on a CPU and in Triton, against naive twins in double precision.

Triton decides when it is imported whether it compiles or interprets. So `test_in_the_interpreter`
runs this file once more in a process of its own, with TRITON_INTERPRET=1 and tensors on the CPU;
with `-m gpu` on a machine with a card the same tests run compiled.
"""

import importlib.util
import os
import subprocess
import sys
from functools import partial

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
NO_TRITON = importlib.util.find_spec("triton") is None
ON_A_CARD = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(NO_TRITON, reason="triton is not installed"),
]


@pytest.fixture(
    params=["interpreted"] if INTERPRETED else ["cpu", pytest.param("card", marks=ON_A_CARD)]
)
def kind(request):
    return request.param


@pytest.fixture
def device(kind):
    return "cuda" if kind == "card" else "cpu"


@pytest.fixture
def bid(kind):
    """Small tiles and few bids a launch, so that there are several of both."""
    if kind == "cpu":
        from pointgen.geometry.kernels import bids_cpu

        return bids_cpu.bid
    from pointgen.geometry.kernels import bids

    return partial(bids.bid, lanes=4, bids=5) if INTERPRETED else bids.bid


@pytest.fixture
def lowest(kind):
    if kind == "cpu":
        from pointgen.geometry.kernels import bids_cpu

        return bids_cpu.lowest
    from pointgen.geometry.kernels import bids

    def without_guess(a, b, prices, guess, *, squared):
        return bids.lowest(a, b, prices, squared=squared, rows=4, columns=8)

    return without_guess


def setting(seed: int, device: str, pairs: int, count: int) -> list[torch.Tensor]:
    """Two batches of clouds of an extent of about one, and prices."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(pairs, count, 3), (pairs, count, 3), (pairs, count)]
    return [torch.rand(s, generator=generator, dtype=torch.float64).to(device) for s in shapes]


def offers(a: torch.Tensor, b: torch.Tensor, prices: torch.Tensor, squared: bool) -> torch.Tensor:
    square = (a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(dim=-1)
    return (square if squared else square.sqrt()) + prices.unsqueeze(-2)


def bid_naive(a, b, prices, partner, step, squared):
    """One pair of clouds, (N, 3) each, by the definition."""
    prices, partner = prices.clone(), partner.clone()
    for first in (partner < 0).nonzero()[:, 0].tolist():
        i = first
        while i is not None:
            values = offers(a[i : i + 1], b, prices, squared)[0]
            best = values.sort(stable=True)
            j = best.indices[0]
            lead = best.values[1] - best.values[0] if len(b) > 1 else 0.0
            prices[j] += lead + step
            owners = (partner == j).nonzero()[:, 0].tolist()
            partner[i] = j
            i = owners[0] if owners else None
            if i is not None:
                partner[i] = -1
    return prices, partner


@pytest.mark.skipif(INTERPRETED, reason="this is the interpreter")
@pytest.mark.skipif(NO_TRITON, reason="triton is not installed")
def test_in_the_interpreter(pytestconfig):
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        cwd=pytestconfig.rootpath,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_bids_equal_the_naive_twin(bid, device, count, squared):
    a, b, prices = setting(count, device, 2, count)
    free = torch.full((2, count), -1, device=device)
    # Steps below what single precision can hold, and different ones.
    step = torch.tensor([1e-5, 3e-5], dtype=torch.float64, device=device)
    found_prices, found = bid(a, b, prices, free, step, squared=squared)
    for i in range(2):
        expected = bid_naive(a[i], b[i], prices[i], free[i], step[i], squared)
        assert torch.equal(found[i], expected[1])
        assert torch.allclose(found_prices[i], expected[0])


@pytest.mark.parametrize("step", [0.05, 1e-3, 1e-5])
def test_all_have_a_partner_within_a_step_of_the_best_offer(bid, device, step):
    a, b, prices = setting(0, device, 1, 9 if INTERPRETED else 300)
    steps = torch.full((1,), step, dtype=torch.float64, device=device)
    free = torch.full(prices.shape, -1, device=device)
    after, partner = bid(a, b, prices, free, steps, squared=False)
    assert torch.equal(partner.sort(dim=1).values, torch.arange(a.shape[1], device=device)[None])
    rounding = 1e-6 if step > 1e-4 else 1e-14  # on a card, large steps are in single precision
    assert (after >= prices - rounding).all()
    values = offers(a, b, after, False)
    paid = values.gather(2, partner[:, :, None])[:, :, 0]
    assert (paid <= values.amin(dim=2) + step + rounding).all()


def test_who_has_a_partner_keeps_it_until_outbid(bid, device):
    a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]], device=device)
    b = a + 0.01
    step = torch.tensor([0.1], device=device)
    partner = torch.tensor([[0, -1, 2]], device=device)
    prices, found = bid(a, b, torch.zeros(1, 3, device=device), partner, step, squared=True)
    assert found.tolist() == [[0, 1, 2]]
    assert prices[0, 0] == prices[0, 2] == 0 and prices[0, 1] > 0
    assert partner.tolist() == [[0, -1, 2]]  # the argument stays as it is


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 17), (16, 3), (33, 40)])
def test_lowest_equals_the_naive_twin(lowest, device, n, m, squared):
    a = setting(0, device, 2, n)[0]
    _, b, prices = setting(1, device, 2, m)
    guess = torch.full((2, n), m - 1, device=device)
    found = lowest(a, b, prices - 0.5, guess, squared=squared)
    assert torch.allclose(found, offers(a, b, prices - 0.5, squared).amin(dim=2), rtol=1e-14)


def test_double_precision_to_the_last_digits(lowest, device):
    a = torch.zeros(1, 1, 3, device=device)
    b = torch.tensor([[[1.0, 0, 0], [1 - 2.0**-50, 0, 0]]], device=device)
    zero = torch.zeros(1, 2, device=device)
    guess = torch.zeros(1, 1, dtype=torch.int64, device=device)
    assert lowest(a, b, zero, guess, squared=False).item() == 1 - 2.0**-50


def test_takes_the_first_of_equal_offers(bid, device):
    a, b = torch.zeros(1, 6, 3, device=device), torch.ones(1, 6, 3, device=device)
    b[:, 0] = 2
    b[:, 3] = -1
    partner = torch.tensor([[-1, 0, 1, 2, 3, 4]], device=device)  # 5 is free, but no better
    step = torch.tensor([0.5], device=device)
    prices = torch.zeros(1, 6, device=device)
    after, found = bid(a, b, prices, partner, step, squared=True)
    # The first bids for 1, the owner of 1 for 2, and so on; the last one leads by a step.
    assert found.tolist() == [[1, 0, 2, 3, 4, 5]]
    assert after.tolist() == [[0, 0.5, 0.5, 0.5, 0.5, 1]]
