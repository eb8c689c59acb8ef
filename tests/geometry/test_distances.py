"""Distances by every backend that is here, against naive twins in double precision.

Triton decides when it is imported whether it compiles or interprets. So
`test_triton_in_the_interpreter` runs its share of this file in a process of its own, on the CPU.
"""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointgen.geometry import distances
from pointgen.geometry.distances import chamfer, nearest, pairwise_chamfer, pairwise_means
from pointgen.geometry.kernels import blocked, choose, cpu
from pointgen.geometry.rotations import random_rotations

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
NO_TRITON = importlib.util.find_spec("triton") is None
ON_A_CARD = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
BACKENDS = [
    "cpu",
    "torch",
    pytest.param("triton", marks=[] if INTERPRETED else ON_A_CARD),
    pytest.param("pytorch3d", marks=pytest.mark.needs("pytorch3d")),
]
SEEDS = st.integers(0, 2**31 - 1)
SIZES = st.integers(1, 70)
FEW = settings(max_examples=25, deadline=None)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture
def clouds(backend):
    """Single precision, which every backend takes, and where this one works."""

    def draw(seed: int, *shape: int) -> torch.Tensor:
        device = "cuda" if backend == "triton" and not INTERPRETED else "cpu"
        return random(seed, *shape).to(device, torch.float32)

    return draw


def random(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 3, generator=generator)


def squared(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(N, 3) and (M, 3), by the definition, in float64."""
    return (a.double()[:, None] - b.double()[None]).square().sum(dim=-1)


def means_naive(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(S, N, 3) and (R, M, 3), pair by pair."""

    def pair(x: torch.Tensor, y: torch.Tensor) -> list[float]:
        table = squared(x, y)
        return [table.amin(dim=1).mean().item(), table.amin(dim=0).mean().item()]

    return torch.tensor([[pair(x, y) for y in b] for x in a])


def table_naive(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return means_naive(a, b).sum(dim=-1)


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found.cpu().double(), expected.cpu(), rtol=1e-6, atol=0)


# Enough to see that the kernels are called rightly: the interpreter takes a second for a block.
IN_THE_INTERPRETER = "triton and (known_answer or gradient_equals)"


@pytest.mark.skipif(INTERPRETED, reason="this is the interpreter")
@pytest.mark.skipif(NO_TRITON, reason="triton is not installed")
def test_triton_in_the_interpreter(pytestconfig):
    chosen = ["-k", IN_THE_INTERPRETER, __file__]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        cwd=pytestconfig.rootpath,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_known_answer(backend, clouds):
    a = clouds(0, 1, 2).copy_(torch.tensor([[0.0, 0, 0], [1, 0, 0]]))
    b = clouds(0, 1, 1).copy_(torch.tensor([0.0, 2, 0]))
    # To b: (4 + 5) / 2; back: 4.
    assert chamfer(a, b, backend=backend).item() == 8.5
    assert pairwise_chamfer(a, b, backend=backend).item() == 8.5
    assert pairwise_means(a, b, backend=backend).tolist() == [[[4.5, 4]]]
    found = nearest(b, a, backend=backend)
    assert (found.squared.tolist(), found.index.tolist()) == ([[4]], [[0]])


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 70), (3, 50), (33, 3), (100, 65)])
def test_equals_the_naive_twin(backend, clouds, n, m):
    a, b = clouds(0, 3, n), clouds(1, 2, m)
    assert_close(pairwise_means(a, b, backend=backend), means_naive(a, b))
    assert_close(pairwise_chamfer(a, b, backend=backend), table_naive(a, b))
    assert_close(chamfer(a[:2], b, backend=backend), table_naive(a, b).diagonal())
    found = nearest(a[:2], b, backend=backend)
    expected = torch.stack([squared(x, y) for x, y in zip(a[:2], b, strict=True)])
    assert_close(found.squared, expected.amin(dim=2))
    assert torch.equal(found.index, expected.argmin(dim=2))


def test_the_first_of_equally_near_points(backend, clouds):
    b = clouds(0, 1, 40).repeat(1, 3, 1)
    assert torch.equal(nearest(b, b, backend=backend).index[0].cpu(), torch.arange(120) % 40)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_single_precision_does_not_cancel(backend, clouds, offset):
    """Near clouds far from the origin: |a|^2 + |b|^2 - 2ab would leave noise."""
    a = clouds(0, 2, 300) + offset
    b = a[:, torch.randperm(300)] + 1e-3 * clouds(1, 2, 300)
    assert_close(pairwise_chamfer(a, b, backend=backend), table_naive(a, b))
    assert (chamfer(a, a.clone(), backend=backend) == 0).all()


def test_half_a_table_equals_the_whole(backend, clouds):
    a = clouds(0, 7, 50)
    half = pairwise_means(a, a, backend=backend)
    assert torch.equal(half, pairwise_means(a, a.clone(), backend=backend))
    assert torch.equal(half, half.transpose(0, 1).flip(2))
    assert (half.diagonal() == 0).all()


def test_the_table_may_be_cut_anywhere(backend, clouds, monkeypatch):
    a, b = clouds(0, 5, 40), clouds(1, 3, 33)
    whole = pairwise_means(a, b, backend=backend), pairwise_means(a, a, backend=backend)
    monkeypatch.setattr(distances, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(distances, "PAIRS_AT_ONCE", 1)
    assert torch.equal(pairwise_means(a, b, backend=backend), whole[0])
    assert torch.equal(pairwise_means(a, a, backend=backend), whole[1])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_visible(backend, clouds, value):
    a, b = clouds(0, 2, 50), clouds(1, 2, 40)
    a[1, 2, 0] = value
    table = pairwise_means(a, b, backend=backend)
    assert table.isnan().all(dim=2).tolist() == [[False] * 2, [True] * 2]
    assert_close(table[:1], means_naive(a[:1], b))
    assert chamfer(a, b, backend=backend).isfinite().tolist() == [True, False]
    for left, right in ((a, b), (b, a)):
        found = nearest(left, right, backend=backend)
        assert found.squared.isnan().all(dim=1).tolist() == [False, True]
        assert 0 <= found.index.min() <= found.index.max() < right.shape[1]


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_gradient(backend):
    a, b = random(0, 2, 6).requires_grad_(), random(1, 2, 8).requires_grad_()
    assert torch.autograd.gradcheck(lambda *both: chamfer(*both, backend=backend), (a, b))


def test_gradient_equals_that_of_the_naive_twin(backend, clouds):
    a, b = clouds(0, 1, 6).requires_grad_(), clouds(1, 1, 8).requires_grad_()
    table = squared(a[0], b[0])
    expected = table.amin(dim=1).mean() + table.amin(dim=0).mean()
    found = chamfer(a, b, backend=backend)
    pulls = (torch.autograd.grad(d.sum(), (a, b)) for d in (found, expected))
    for x, y in zip(*pulls, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-6)
    (pull,) = torch.autograd.grad(chamfer(a, a.detach().clone(), backend=backend).sum(), a)
    assert (pull == 0).all()


def test_tables_and_neighbours_have_no_gradient():
    a = random(0, 2, 6).requires_grad_()
    assert not nearest(a, a).squared.requires_grad
    assert not pairwise_chamfer(a, a).requires_grad


@FEW
@given(SEEDS, SIZES, SIZES)
def test_chamfer_equals_the_table(seed, n, m):
    a, b = random(seed, 3, n), random(seed + 1, 3, m)
    table = table_naive(a, b)
    assert torch.allclose(pairwise_chamfer(a, b), table)
    assert torch.allclose(chamfer(a, b), table.diagonal())


@FEW
@given(SEEDS, SIZES, SIZES)
def test_symmetric_and_zero_on_itself(seed, n, m):
    a, b = random(seed, 3, n), random(seed + 1, 3, m)
    assert torch.allclose(chamfer(a, b), chamfer(b, a))
    assert torch.equal(pairwise_means(a, b), pairwise_means(b, a).transpose(0, 1).flip(2))
    assert (chamfer(a, a) == 0).all()
    assert (pairwise_chamfer(a, a.clone()).diagonal() == 0).all()


@FEW
@given(SEEDS, SIZES, SIZES)
def test_invariant_to_order_and_rigid_motion_and_square_in_scale(seed, n, m):
    a, b = random(seed, 2, n), random(seed + 1, 2, m)
    expected = chamfer(a, b)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    assert torch.allclose(chamfer(a[:, order], b), expected)
    turn, shift = random_rotations(1, generator=generator)[0], random(seed + 2, 1)
    assert torch.allclose(chamfer(a @ turn.T + shift, b @ turn.T + shift), expected)
    assert torch.allclose(chamfer(3 * a, 3 * b), 9 * expected)


@pytest.mark.parametrize("memory", [1, 500, 4000, 2**28])
def test_any_memory_budget_gives_the_same_table(memory):
    a, b = random(0, 3, 17), random(1, 5, 11)
    found = pairwise_chamfer(a, b, memory=memory, backend="torch")
    assert torch.allclose(found, table_naive(a, b))
    squared, index = blocked.nearest(a, b[:3], memory=memory)
    expected = nearest(a, b[:3])
    assert torch.allclose(squared, expected.squared)
    assert torch.equal(index, expected.index)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_blocks_larger_than_the_cache_are_put_together_rightly(backend):
    a, b = random(0, 2, 1500).float(), random(1, 2, 1100).float()
    assert_close(pairwise_chamfer(a, b, backend=backend), table_naive(a, b))
    assert_close(chamfer(a, b, backend=backend), table_naive(a, b).diagonal())


def test_progress_counts_every_pair_once(monkeypatch):
    a, b = random(0, 4, 3), random(1, 6, 3)
    for at_once in (16, 1):
        monkeypatch.setattr(distances, "ROWS_AT_ONCE", at_once)
        monkeypatch.setattr(distances, "PAIRS_AT_ONCE", 1)
        for left, right in ((a, b), (a, a)):
            done: list[int] = []
            pairwise_chamfer(left, right, progress=done.append)
            assert sum(done) == len(left) * len(right)
            assert len(done) == -(-len(left) // at_once)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_tables_of_different_rows_add_up_to_the_whole(size):
    a, b = random(0, 4, 6), random(1, 3, 5)
    for left, right in ((a, b), (a, a)):
        parts = [
            pairwise_chamfer(left, right, rows=range(rank, len(left), size)) for rank in range(size)
        ]
        assert torch.equal(torch.stack(parts).sum(0), pairwise_chamfer(left, right))
        assert size == 1 or not torch.equal(parts[0], pairwise_chamfer(left, right))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_other_precisions_are_computed_in_single(dtype):
    a, b = (10 * random(0, 2, 20)).to(dtype), (10 * random(1, 2, 30)).to(dtype)
    assert pairwise_chamfer(a, b).dtype == chamfer(a, b).dtype == torch.float32
    assert_close(pairwise_chamfer(a, b), table_naive(a, b))
    assert_close(chamfer(a, b), table_naive(a, b).diagonal())
    assert pairwise_chamfer(a.float(), b.double()).dtype == torch.float64


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 2), (0, 5, 3), (2, 0, 3)])
def test_wrong_shapes_are_named(shape):
    good, bad = torch.zeros(2, 5, 3), torch.zeros(shape)
    for function in (chamfer, nearest, pairwise_means, pairwise_chamfer):
        with pytest.raises(ValueError, match="b: expected"):
            function(good, bad)
        with pytest.raises(ValueError, match="a: expected"):
            function(bad, good)
    for function in (chamfer, nearest):
        with pytest.raises(ValueError, match="expected 2 clouds"):
            function(good, torch.zeros(3, 5, 3))
    with pytest.raises(ValueError, match="expected clouds on cpu"):
        chamfer(good, good.to("meta"))


def test_a_backend_that_cannot_do_it_says_so():
    here, elsewhere = torch.zeros(1, 5, 3), torch.zeros(1, 5, 3, device="meta")
    with pytest.raises(ValueError, match="cpu takes clouds on a CPU, got meta"):
        nearest(elsewhere, elsewhere, backend="cpu")
    with pytest.raises(ValueError, match="expected one of auto, cpu"):
        nearest(here, here, backend="numba")
    if not INTERPRETED:
        with pytest.raises(ValueError, match=r"triton (takes clouds on a CUDA|is not installed)"):
            nearest(here, here, backend="triton")
    # In double precision here, so that it cannot even where it is installed.
    with pytest.raises(ValueError, match=r"pytorch3d (takes CUDA or float32|is not installed)"):
        nearest(here, here, backend="pytorch3d")


def test_the_backend_of_choice():
    assert choose("auto", torch.zeros(1), 1).nearest is cpu.nearest
    assert choose("auto", torch.zeros(1, device="meta"), 1).nearest.func is blocked.nearest


def test_compilers_are_imported_late():
    program = (
        "import sys, pointgen.geometry.distances; "
        "sys.exit('numba' in sys.modules or 'triton' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
