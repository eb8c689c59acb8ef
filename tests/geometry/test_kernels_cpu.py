"""The cells and the search of the kernel for CPUs, where sizes and positions are awkward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointgen.geometry.kernels import cpu
from pointgen.geometry.kernels.cells import make_cells

SEEDS = st.integers(0, 2**31 - 1)
FEW = settings(max_examples=25, deadline=None)


def naive(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared distances and indices, (B, N), in the precision of the clouds."""
    table = (a[:, :, None] - b[:, None]).square().sum(dim=-1)
    return table.amin(dim=2), table.argmin(dim=2)


def assert_right(a: torch.Tensor, b: torch.Tensor) -> None:
    squared, index = cpu.nearest(a, b)
    expected = naive(a.double(), b.double())
    rounding = 4 * torch.finfo(a.dtype).eps
    torch.testing.assert_close(squared.double(), expected[0], rtol=rounding, atol=0)
    assert torch.equal(index, expected[1])
    other = cpu.nearest(b, a)
    for one, both in zip((squared, index, *other), cpu.mutual(a, b), strict=True):
        assert torch.equal(one, both)
    means = cpu.pair_means(a, b, torch.arange(len(a)).expand(2, -1).T)
    for side, found in enumerate((squared, other[0])):
        mean = found.double().mean(dim=1).to(a.dtype)
        # Sums in another order: each addition in float64 may round.
        sums = found.shape[1] * torch.finfo(torch.float64).eps
        torch.testing.assert_close(means[:, side], mean, rtol=rounding + sums, atol=0)


@FEW
@given(SEEDS, st.integers(1, 300), st.integers(1, 300), st.sampled_from([0.0, 1.0, 30.0]))
def test_nearest_at_any_distance(seed, n, m, offset):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(2, k, 3, generator=generator) for k in (n, m))
    assert_right(a, b + offset)
    assert_right(a.float(), a.float()[:, : n // 2 + 1] * (1 + offset))


@FEW
@given(SEEDS, st.integers(1, 4), st.integers(1, 300))
def test_the_first_of_many_equally_near_points(seed, side, n):
    """On a coarse grid most distances come many times; they are exact, so the index is too."""
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randint(side, (2, k, 3), generator=generator).float() for k in (n, 200))
    assert_right(a, b)


@pytest.mark.parametrize("flat", [1, 2, 3])
def test_flat_clouds(flat):
    a, b = torch.randn(2, 1, 500, 3, dtype=torch.float32)
    a[..., :flat], b[..., :flat] = 0.25, 0.25
    assert_right(a, b)


@pytest.mark.parametrize(("n", "m"), [(1, 1_000_003), (1_000_003, 3)])
def test_very_unequal_sizes(n, m):
    a, b = torch.randn(1, n, 3, dtype=torch.float32), torch.randn(1, m, 3, dtype=torch.float32)
    squared, index = cpu.nearest(a, b)
    expected = naive(a, b)
    torch.testing.assert_close(squared, expected[0], rtol=1e-6, atol=0)
    assert torch.equal(index, expected[1])


@pytest.mark.parametrize("n", [1, 31, 32, 33, 65, 1000])
def test_cells_hold_every_point_once(n):
    clouds = torch.randn(2, n, 3)
    cells = make_cells(clouds)
    for c, cloud in enumerate(clouds.numpy()):
        order = cells.order[c]
        assert sorted(order.ravel()[:n]) == list(range(n))
        assert (order.ravel()[n:] == order.ravel()[n - 1]).all()
        assert (order[:, 1:] >= order[:, :-1]).all()
        points = cells.points[c].transpose(0, 2, 1)  # (K, 32, 3)
        assert (points == cloud[order]).all()
        assert (points.min(axis=1) == cells.low[c].T).all()
        assert (points.max(axis=1) == cells.high[c].T).all()


def test_cells_are_cut_at_the_median_of_the_longest_side():
    points = torch.randn(1, 64, 3) * torch.tensor([1.0, 5.0, 1.0])
    order = make_cells(points).order[0]
    heights = points[0, :, 1].numpy()
    assert heights[order[0]].max() < heights[order[1]].min()


@pytest.mark.parametrize("kind", ["equal", "rising", "falling", "up and down", "few values"])
def test_no_order_of_the_points_is_slow(kind):
    """Quadratic time would be minutes for these."""
    line = torch.arange(200_000.0)
    values = {
        "equal": torch.ones_like(line),
        "rising": line,
        "falling": -line,
        "up and down": -(line - 1e5).abs(),
        "few values": line % 3,
    }[kind]
    cells = make_cells(values[None, :, None].expand(-1, -1, 3).contiguous())
    assert sorted(cells.order.ravel()) == list(range(200_000))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_change_a_bit(threads):
    a, b = torch.randn(2, 5, 300, 3, dtype=torch.float32)
    pairs = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    expected = cpu.pair_means(a, b, pairs), *cpu.nearest(a, b)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = cpu.pair_means(a, b, pairs), *cpu.nearest(a, b)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))


def test_sums_of_many_pairs_are_taken_in_parts(monkeypatch):
    a, b = torch.randn(2, 4, 100, 3)
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    whole = cpu.pair_means(a, b, pairs)
    monkeypatch.setattr(cpu, "SUMS", 13)
    assert torch.equal(cpu.pair_means(a, b, pairs), whole)


def test_no_pairs():
    a = torch.randn(2, 5, 3)
    none = torch.empty(0, 2, dtype=torch.int64)
    assert cpu.pair_means(a, a, none).shape == (0, 2)


def test_means_are_summed_in_double_precision():
    """In single precision the small distances would vanish beside the first."""
    a = torch.zeros(1, 50_000, 3, dtype=torch.float32)
    a[..., 0] = 1e-2
    a[0, 0, 0] = 3e3
    expected = (a[..., 0].double() ** 2).mean()
    found = cpu.pair_means(a, torch.zeros_like(a[:, :1]), torch.zeros(1, 2).long())
    torch.testing.assert_close(found[0, 0].double(), expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e30])
def test_what_is_not_a_distance_ends_and_harms_no_other_cloud(value):
    a, b = torch.randn(2, 2, 200, 3, dtype=torch.float32)
    expected = cpu.nearest(a[:1], b[:1])
    a[1], b[1, ::3] = value, -value
    squared, index = cpu.nearest(a, b)
    assert torch.equal(squared[:1], expected[0])
    assert torch.equal(index[:1], expected[1])
    assert 0 <= index.min() <= index.max() < 200
    cpu.pair_means(a, b, torch.tensor([[1, 1]]))
