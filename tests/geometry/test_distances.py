import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointgen.geometry.distances import chamfer, nearest, pairwise_chamfer
from pointgen.geometry.rotations import random_rotations

SEEDS = st.integers(0, 2**31 - 1)
SIZES = st.integers(1, 40)
FEW = settings(max_examples=40, deadline=None)


def clouds(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 3, generator=generator, dtype=dtype)


def chamfer_naive(a: torch.Tensor, b: torch.Tensor) -> float:
    """Two clouds (N, 3) and (M, 3), by the definition, in float64."""
    squared = (a.double()[:, None] - b.double()[None]).square().sum(dim=-1)
    return (squared.min(dim=1).values.mean() + squared.min(dim=0).values.mean()).item()


def table_naive(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.tensor([[chamfer_naive(x, y) for y in b] for x in a])


def test_known_answer():
    a = torch.tensor([[[0.0, 0, 0], [1, 0, 0]]])
    b = torch.tensor([[[0.0, 2, 0]]])
    # To b: (4 + 5) / 2; back: 4.
    assert chamfer(a, b).item() == 8.5
    assert pairwise_chamfer(a, b).item() == 8.5
    assert nearest(b, a).tolist() == [[0]]


@FEW
@given(SEEDS, SIZES, SIZES)
def test_equals_the_naive_twin(seed, n, m):
    a, b = clouds(seed, 3, n), clouds(seed + 1, 4, m)
    expected = table_naive(a, b)
    assert torch.allclose(pairwise_chamfer(a, b), expected)
    assert torch.allclose(chamfer(a, b[:3]), expected.diagonal())


@FEW
@given(SEEDS, SIZES, SIZES)
def test_nearest_is_nearest(seed, n, m):
    a, b = clouds(seed, 2, n), clouds(seed + 1, 2, m)
    assert torch.equal(nearest(a, b), torch.cdist(a, b).argmin(dim=2))


@FEW
@given(SEEDS, SIZES, SIZES)
def test_symmetric_and_zero_on_itself(seed, n, m):
    a, b = clouds(seed, 3, n), clouds(seed + 1, 3, m)
    assert torch.allclose(chamfer(a, b), chamfer(b, a))
    assert torch.allclose(pairwise_chamfer(a, b), pairwise_chamfer(b, a).mT)
    assert (chamfer(a, a) == 0).all()
    assert (pairwise_chamfer(a, a.clone()).diagonal() == 0).all()


@FEW
@given(SEEDS, SIZES, SIZES)
def test_invariant_to_order_and_rigid_motion_and_square_in_scale(seed, n, m):
    a, b = clouds(seed, 2, n), clouds(seed + 1, 2, m)
    expected = chamfer(a, b)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    assert torch.allclose(chamfer(a[:, order], b), expected)
    turn, shift = random_rotations(1, generator=generator)[0], clouds(seed + 2, 1)
    assert torch.allclose(chamfer(a @ turn.T + shift, b @ turn.T + shift), expected)
    assert torch.allclose(chamfer(3 * a, 3 * b), 9 * expected)


def test_half_a_table_equals_the_whole():
    a = clouds(0, 7, 20)
    assert torch.equal(pairwise_chamfer(a, a), pairwise_chamfer(a, a.clone()))


@pytest.mark.parametrize("memory", [1, 500, 4000, 2**28])
def test_any_memory_budget_gives_the_same_table(memory):
    a, b = clouds(0, 3, 17), clouds(1, 5, 11)
    assert torch.allclose(pairwise_chamfer(a, b, memory=memory), table_naive(a, b))


def test_blocks_larger_than_the_cache_are_put_together_rightly():
    a, b = clouds(0, 2, 1500, dtype=torch.float32), clouds(1, 2, 1100, dtype=torch.float32)
    expected = torch.tensor([chamfer_naive(x, y) for x, y in zip(a, b, strict=True)])
    assert torch.allclose(pairwise_chamfer(a, b).diagonal().double(), expected, rtol=1e-6)
    assert torch.allclose(chamfer(a, b).double(), expected, rtol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_single_precision_does_not_cancel(offset):
    """Near clouds far from the origin: |a|^2 + |b|^2 - 2ab would leave noise."""
    a = clouds(0, 2, 300, dtype=torch.float32) + offset
    b = a[:, torch.randperm(300)] + 1e-3 * clouds(1, 2, 300, dtype=torch.float32)
    assert torch.allclose(pairwise_chamfer(a, b).double(), table_naive(a, b), rtol=1e-6, atol=0)


def test_gradient():
    a = clouds(0, 2, 6).requires_grad_()
    b = clouds(1, 2, 8).requires_grad_()
    assert torch.autograd.gradcheck(chamfer, (a, b))
    assert not pairwise_chamfer(a, b).requires_grad


def test_gradient_at_zero_distance_is_zero():
    a = clouds(0, 2, 6).requires_grad_()
    chamfer(a, a.detach().clone()).sum().backward()
    assert (a.grad == 0).all()


def test_progress_counts_every_pair_once():
    a, b = clouds(0, 4, 3), clouds(1, 6, 3)
    for left, right in ((a, b), (a, a)):
        done: list[int] = []
        pairwise_chamfer(left, right, progress=done.append)
        assert sum(done) == len(left) * len(right)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_tables_of_different_rows_add_up_to_the_whole(size):
    a, b = clouds(0, 4, 6), clouds(1, 3, 5)
    for left, right in ((a, b), (a, a)):
        parts = [
            pairwise_chamfer(left, right, rows=range(rank, len(left), size)) for rank in range(size)
        ]
        assert torch.equal(torch.stack(parts).sum(0), pairwise_chamfer(left, right))
        assert size == 1 or not torch.equal(parts[0], pairwise_chamfer(left, right))


def test_nan_stays_visible():
    a, b = clouds(0, 2, 5), clouds(1, 3, 5)
    a[1, 2, 0] = torch.nan
    assert pairwise_chamfer(a, b).isnan().tolist() == [[False] * 3, [True] * 3]


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 2), (0, 5, 3), (2, 0, 3)])
def test_wrong_shapes_are_named(shape):
    good, bad = torch.zeros(2, 5, 3), torch.zeros(shape)
    for function in (chamfer, nearest, pairwise_chamfer):
        with pytest.raises(ValueError, match="b: expected"):
            function(good, bad)
        with pytest.raises(ValueError, match="a: expected"):
            function(bad, good)
    with pytest.raises(ValueError, match="expected 2 clouds"):
        chamfer(good, torch.zeros(3, 5, 3))
