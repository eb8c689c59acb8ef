import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from pointgen.geometry import emd as module
from pointgen.geometry.emd import Matching, emd, match
from pointgen.geometry.rotations import random_rotations

SEEDS = st.integers(0, 2**31 - 1)
SIZES = st.integers(1, 50)
FEW = settings(max_examples=30, deadline=None)
BOTH = pytest.mark.parametrize("squared", [False, True])


def clouds(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 3, generator=generator, dtype=dtype)


def by_scipy(a: torch.Tensor, b: torch.Tensor, squared: bool) -> torch.Tensor:
    """Pairs of clouds (B, N, 3), by all distances and the general solver, in float64."""
    found = []
    for distances in torch.cdist(a.double(), b.double()):
        table = distances.square() if squared else distances
        found.append(table[linear_sum_assignment(table.numpy())].mean())
    return torch.stack(found)


@BOTH
def test_known_answer(squared):
    a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 3, 0]]])
    b = torch.tensor([[[0.0, 3, 2], [1, 0, 0], [0, 0, 0]]])
    found = match(a, b, squared=squared)
    assert found.assignment.tolist() == [[2, 1, 0]]
    expected = torch.tensor([4 / 3 if squared else 2 / 3])
    for value in (found.cost, found.bound, emd(a, b, squared=squared)):
        assert torch.allclose(value, expected)


@BOTH
@FEW
@given(SEEDS, SIZES)
def test_equals_scipy(squared, seed, n):
    a, b = clouds(seed, 3, n), clouds(seed + 1, 3, n)
    expected = by_scipy(a, b, squared)
    found = match(a, b, squared=squared)
    assert torch.allclose(emd(a, b, squared=squared), expected, rtol=1e-9)
    assert torch.allclose(found.cost, expected, rtol=1e-9)
    assert torch.allclose(found.bound, expected, rtol=1e-9)
    assert (found.bound <= found.cost).all()
    assert torch.equal(found.assignment.sort(dim=1).values, torch.arange(n).expand(3, n))


@BOTH
@FEW
@given(SEEDS, SIZES)
def test_symmetric_and_zero_on_itself(squared, seed, n):
    a, b = clouds(seed, 2, n), clouds(seed + 1, 2, n)
    forward, backward = emd(a, b, squared=squared), emd(b, a, squared=squared)
    assert torch.allclose(forward, backward, rtol=1e-9)
    assert (emd(a, a.clone(), squared=squared) == 0).all()
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert (emd(a, a[:, order], squared=squared) == 0).all()


@BOTH
@FEW
@given(SEEDS, SIZES)
def test_invariant_to_order_and_rigid_motion_and_known_under_scale(squared, seed, n):
    a, b = clouds(seed, 2, n), clouds(seed + 1, 2, n)
    expected = emd(a, b, squared=squared)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    assert torch.allclose(emd(a[:, order], b, squared=squared), expected, rtol=1e-9)
    turn, shift = random_rotations(1, generator=generator)[0], clouds(seed + 2, 1)
    moved = emd(a @ turn.T + shift, b @ turn.T + shift, squared=squared)
    assert torch.allclose(moved, expected, rtol=1e-9)
    scaled = emd(3 * a, 3 * b, squared=squared)
    assert torch.allclose(scaled, (9 if squared else 3) * expected, rtol=1e-9)


@FEW
@given(SEEDS, SIZES)
def test_a_metric_between_the_distance_of_the_means_and_any_matching(seed, n):
    a, b, c = (clouds(seed + i, 2, n) for i in range(3))
    distance = emd(a, b)
    assert (distance <= emd(a, c) + emd(c, b) + 1e-12).all()
    assert ((a.mean(dim=1) - b.mean(dim=1)).norm(dim=-1) <= distance + 1e-12).all()
    assert (distance <= (a - b).norm(dim=-1).mean(dim=1) + 1e-12).all()


@BOTH
def test_a_shift_costs_its_length(squared):
    """Squared, for every shift; else too, as no matching is cheaper than the means are apart."""
    a = clouds(0, 2, 300)
    shift = torch.tensor([0.3, -0.4, 1.2])  # of length 1.3
    expected = torch.tensor(1.69 if squared else 1.3).expand(2)
    assert torch.allclose(emd(a, a.flip(1) + shift, squared=squared), expected, rtol=1e-9)


@BOTH
def test_gradient(squared):
    a = clouds(0, 2, 6).requires_grad_()
    b = clouds(1, 2, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: emd(x, y, squared=squared), (a, b))


@BOTH
def test_gradient_at_zero_distance_is_zero(squared):
    a = clouds(0, 2, 6).requires_grad_()
    b = a.detach().clone()
    b[:, 0] += 1
    emd(a, b, squared=squared).sum().backward()
    assert (a.grad[:, 1:] == 0).all()
    assert a.grad[:, 0].isfinite().all() and (a.grad[:, 0] != 0).all()


def test_a_step_against_the_gradient_brings_clouds_together():
    a, b = clouds(0, 1, 40), clouds(1, 1, 40)
    a.requires_grad_()
    loss = emd(a, b, squared=True)
    (gradient,) = torch.autograd.grad(loss.sum(), a)
    # Half the way for each point to its partner: a quarter of the squared distance at most.
    assert emd(a.detach() - 40 / 4 * gradient, b, squared=True) <= loss.detach() / 4 + 1e-12


def test_dtypes_and_gradients_of_the_results():
    a, b = clouds(0, 2, 20, dtype=torch.float32), clouds(1, 2, 20, dtype=torch.float32)
    found = match(a.requires_grad_(), b)
    assert isinstance(found, Matching)
    assert found.assignment.dtype == torch.int64
    assert found.cost.dtype == found.bound.dtype == torch.float64
    assert not found.cost.requires_grad
    assert emd(a, b).dtype == torch.float32
    assert torch.allclose(emd(a, b).double(), found.cost, rtol=1e-6)


@BOTH
@pytest.mark.parametrize("error", [1e-3, 0.1])
def test_a_wanted_error_is_kept(error, squared):
    a, b = clouds(0, 2, 100), clouds(1, 2, 100)
    found = match(a, b, squared=squared, error=error)
    exact = by_scipy(a, b, squared)
    assert (found.cost - found.bound <= error * found.bound).all()
    assert (found.bound <= exact * (1 + 1e-9)).all()
    assert (exact <= found.cost * (1 + 1e-9)).all()
    assert torch.allclose(emd(a, b, squared=squared, error=error), found.cost)


@pytest.mark.gpu
@BOTH
@pytest.mark.parametrize("error", [0.0, 1e-2])
def test_on_a_card(error, squared):
    a, b = clouds(0, 3, 200), clouds(1, 3, 200)
    found = match(a.cuda(), b.cuda(), squared=squared, error=error)
    assert {t.device.type for t in (found.assignment, found.cost, found.bound)} == {"cuda"}
    assert (found.cost - found.bound <= max(error, 1e-9) * found.bound).all()
    exact = by_scipy(a, b, squared)
    value = emd(a.cuda(), b.cuda(), squared=squared, error=error).cpu()
    assert torch.allclose(value, exact, rtol=max(error, 1e-9))


@pytest.mark.parametrize("function", [emd, match])
def test_wrong_input_is_named(function):
    good = torch.zeros(2, 5, 3)
    for shape in [(5, 3), (2, 5, 2), (0, 5, 3), (2, 0, 3)]:
        with pytest.raises(ValueError, match=r"a: expected \(B, N, 3\)"):
            function(torch.zeros(shape), good)
        with pytest.raises(ValueError, match=r"b: expected \(B, N, 3\)"):
            function(good, torch.zeros(shape))
    with pytest.raises(ValueError, match=r"b: expected 5 points .* got 4"):
        function(good, good[:, :4])
    with pytest.raises(ValueError, match="b: expected 2 clouds as in a, got 1"):
        function(good, good[:1])
    for value in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="b: expected finite coordinates"):
            function(good, good + value)
    for error in (-0.1, torch.nan):
        with pytest.raises(ValueError, match="error: expected at least 0"):
            function(good, good, error=error)


def test_the_compiler_is_imported_late():
    """A program that never solves does not wait for it."""
    code = f"import sys, {module.__name__}; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
