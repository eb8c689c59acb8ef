import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from pointgen.geometry.auction import auction
from pointgen.geometry.matchings import Matching
from pointgen.geometry.rotations import random_rotations

ERRORS = [0.5, 0.1, 0.01, 1e-4]
KINDS = ["normal", "clusters", "duplicates", "grid", "lattice", "lonely", "line", "point"]
FEW = settings(max_examples=25, deadline=None)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 3)


def pair(kind: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two clouds (N, 3); N is up to `count`."""
    a, b = normal(count), normal(count)
    if kind == "clusters":
        a = normal(5)[torch.randint(5, (count,))] + 1e-3 * a
        b = normal(5)[torch.randint(5, (count,))] + 1e-3 * b
    elif kind == "duplicates":
        sites = normal(6)
        a, b = sites[torch.randint(6, (count,))], sites[torch.randint(6, (count,))]
    elif kind in ("grid", "lattice"):
        side = torch.arange(int(count ** (1 / 3) + 1e-9), dtype=torch.float64)
        a = torch.cartesian_prod(side, side, side)
        b = a + (0.5 if kind == "grid" else torch.tensor([1.0, 0, 0]))
    elif kind == "lonely":  # two heaps, and one point more in one of them
        a, b = torch.zeros(2, count, 3)
        a[: count // 2, 0] = b[: count // 2 - 1, 0] = 1
    elif kind == "line":
        a[:, 1:] = b[:, 1:] = 0
    elif kind == "point":
        b = b[:1].expand(count, 3)
    return a, b


def costs(a: torch.Tensor, b: torch.Tensor, squared: bool) -> torch.Tensor:
    square = (a[:, None] - b[None]).square().sum(dim=2)
    return square if squared else square.sqrt()


def optimum(a: torch.Tensor, b: torch.Tensor, squared: bool) -> float:
    table = costs(a, b, squared).numpy()
    return table[linear_sum_assignment(table)].mean()


def assert_proven(
    found: Matching, a: torch.Tensor, b: torch.Tensor, squared: bool, error: float
) -> None:
    """The law of one pair: a matching, its cost, a bound that holds, and the wanted gap."""
    count = len(a)
    assert torch.equal(found.assignment.sort(dim=1).values[0], torch.arange(count))
    own = costs(a, b, squared)[torch.arange(count), found.assignment[0]].mean().item()
    cost, bound, best = found.cost.item(), found.bound.item(), optimum(a, b, squared)
    scale = torch.stack([a, b]).amax(dim=(0, 1)) - torch.stack([a, b]).amin(dim=(0, 1))
    unit = scale.max().item() ** (2 if squared else 1)
    assert np.isclose(cost, own, rtol=1e-12, atol=0)
    assert 0 <= bound <= best + 1e-15 * unit
    assert best <= cost + 1e-13 * unit
    assert cost - bound <= error * bound + 2.0**-40 * unit


def test_known_answer():
    a = torch.tensor([[[0.0, 0, 0], [1, 0, 0]]])
    b = torch.tensor([[[1.0, 2, 0], [0, 3, 0]]])
    found = auction(a, b, squared=False, error=1e-6)
    assert found.assignment.tolist() == [[1, 0]]
    assert found.cost.item() == 2.5
    assert found.bound.item() == pytest.approx(2.5, rel=1e-6)
    assert auction(a, b, squared=True, error=1e-6).cost.item() == 6.5


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind", KINDS)
def test_keeps_its_promise(kind, error, squared):
    a, b = pair(kind, 343)  # enough for a coarse level, and not a multiple of the group
    assert_proven(auction(a[None], b[None], squared=squared, error=error), a, b, squared, error)


@FEW
@given(st.integers(0, 2**31 - 1), st.integers(1, 70), st.sampled_from(KINDS), st.booleans())
def test_keeps_its_promise_for_any_size(seed, count, kind, squared):
    torch.manual_seed(seed)
    a, b = pair(kind, count)
    assert_proven(auction(a[None], b[None], squared=squared, error=0.03), a, b, squared, 0.03)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("count", [1, 2, 1000])
def test_the_same_points_cost_nothing(count, squared):
    points = normal(3, count).round(decimals=1)  # with ties along every axis
    points[2, 1:] *= 1e-14  # a wrong partner costs less than what rounding is granted elsewhere
    other = points[:, torch.randperm(count)]
    for second in (points, other):
        found = auction(points, second, squared=squared, error=0.1)
        assert found.cost.tolist() == found.bound.tolist() == [0.0] * 3
        assert torch.equal(points, second.gather(1, found.assignment[:, :, None].expand(-1, -1, 3)))


@pytest.mark.parametrize("noise", [1e-3, 1e-7, 1e-11])
def test_almost_the_same_points(noise):
    a = normal(300)
    b = (a + noise * normal(300))[torch.randperm(300)]
    assert_proven(auction(a[None], b[None], squared=False, error=0.01), a, b, False, 0.01)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("scale", [2.0**300, 2.0**-300])
def test_scale_changes_nothing_but_the_unit(scale, squared):
    a, b = normal(1, 100), normal(1, 100)
    plain = auction(a, b, squared=squared, error=0.01)
    scaled = auction(scale * a, scale * b, squared=squared, error=0.01)
    unit = scale**2 if squared else scale
    assert torch.equal(plain.assignment, scaled.assignment)
    assert torch.equal(plain.cost * unit, scaled.cost)
    assert torch.equal(plain.bound * unit, scaled.bound)


def test_far_from_the_origin():
    a, b = normal(200) + 1e6, normal(200) + 1e6
    assert_proven(auction(a[None], b[None], squared=False, error=0.01), a, b, False, 0.01)


def test_a_pair_does_not_depend_on_its_neighbours():
    pairs = [pair(kind, 300) for kind in ("normal", "clusters", "lonely", "duplicates")]
    pairs.append((pairs[0][0], pairs[0][0]))
    a, b = (torch.stack(clouds) for clouds in zip(*pairs, strict=True))
    together = auction(a, b, squared=False, error=1e-6)
    for i in range(len(a)):
        alone = auction(a[i : i + 1], b[i : i + 1], squared=False, error=1e-6)
        assert torch.equal(alone.assignment[0], together.assignment[i])
        assert alone.cost[0] == together.cost[i] and alone.bound[0] == together.bound[i]


def test_deterministic_in_any_number_of_threads():
    a, b = normal(4, 200), normal(4, 200)
    first = auction(a, b, squared=True, error=0.01)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 3)
    second = auction(a, b, squared=True, error=0.01)
    torch.set_num_threads(threads)
    assert torch.equal(first.assignment, second.assignment)
    assert torch.equal(first.bound, second.bound)


@FEW
@given(st.integers(0, 2**31 - 1), st.booleans())
def test_invariant_within_what_is_proven(seed, squared):
    torch.manual_seed(seed)
    a, b = normal(1, 50), normal(1, 50)
    rotation = random_rotations(1)
    moved = [x[:, torch.randperm(50)] @ rotation + 2 for x in (a, b)]
    found = [auction(*x, squared=squared, error=0.01) for x in ((a, b), (b, a), moved)]
    low = max(m.bound.item() for m in found)
    assert all(low <= m.cost.item() <= low * 1.0101 * 1.01 for m in found)


def test_single_precision_and_empty_batches():
    a, b = normal(2, 64), normal(2, 64)
    single = auction(a.float(), b.float(), squared=False, error=0.01)
    double = auction(a.float().double(), b.float().double(), squared=False, error=0.01)
    assert single.cost.dtype == single.bound.dtype == torch.float64
    assert torch.equal(single.assignment, double.assignment)
    assert auction(a[:0], b[:0], squared=False, error=0.01).assignment.shape == (0, 64)


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(4, 3), 0.1, r"a: expected \(B, N, 3\)"),
        (torch.zeros(1, 0, 3), torch.zeros(1, 0, 3), 0.1, "N > 0"),
        (torch.zeros(1, 4, 3), torch.zeros(1, 5, 3), 0.1, "b: expected the shape of a"),
        (torch.zeros(1, 4, 3), torch.zeros(1, 4, 3), 0.0, "error: expected a number over 0"),
        (torch.zeros(1, 4, 3), torch.full((1, 4, 3), torch.nan), 0.1, "b: expected finite"),
    ],
)
def test_bad_input(a, b, error, message):
    with pytest.raises(ValueError, match=message):
        auction(a, b, squared=False, error=error)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("error", ERRORS)
def test_keeps_its_promise_on_a_card(error, squared):
    pairs = [pair(kind, 343) for kind in KINDS]
    a, b = (torch.stack(clouds) for clouds in zip(*pairs, strict=True))
    found = auction(a.cuda(), b.cuda(), squared=squared, error=error)
    assert found.assignment.is_cuda and found.cost.is_cuda and found.bound.is_cuda
    for i in range(len(a)):
        own = Matching(*(t[i : i + 1].cpu() for t in (found.assignment, found.cost, found.bound)))
        assert_proven(own, a[i], b[i], squared, error)
