import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointgen.metrics.jsd import jensen_shannon, outside_share

# The centre of a cell of the default grid, and the step to the next.
CENTRE, STEP = 0.5 / 27, 1 / 27


def centres(resolution: int) -> torch.Tensor:
    """The centres in the sphere, (C, 3)."""
    line = torch.arange(resolution) / (resolution - 1) - 0.5
    cube = torch.cartesian_prod(line, line, line)
    return cube[cube.norm(dim=1) <= 0.5 + 1e-9]


def naive(a: torch.Tensor, b: torch.Tensor, resolution: int) -> float:
    """The definition: nearest of all centres, entropies of the histograms."""
    cells = centres(resolution)
    shares = []
    for clouds in (a, b):
        nearest = torch.cdist(clouds.reshape(-1, 3), cells).argmin(dim=1)
        counts = torch.bincount(nearest, minlength=len(cells)).double()
        shares.append(counts / counts.sum())

    def entropy(p: torch.Tensor) -> torch.Tensor:
        return -torch.special.xlogy(p, p).sum() / math.log(2)

    p, q = shares
    return (entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2).item()


def at(*cells: tuple[int, int, int]) -> torch.Tensor:
    """One cloud with a point at the centre of each cell."""
    return torch.tensor([cells]) * STEP + CENTRE


def test_divergence_by_hand():
    # All of a in the first cell, half of b: 1/2 log2(4/3) + 1/2 (1/2 log2(2/3) + 1/2 log2(2)).
    a, b = at((0, 0, 0)), at((0, 0, 0), (0, 0, 1))
    expected = 0.5 * math.log2(4 / 3) + 0.5 * (0.5 * math.log2(2 / 3) + 0.5)
    assert jensen_shannon(a, b) == pytest.approx(expected, abs=1e-12)


def test_the_default_grid_has_10144_cells_in_the_sphere():
    cells = centres(28)
    assert len(cells) == 10144
    # One point in each of n cells against one cell only.
    n = 10144
    one = 0.5 * math.log2(2 / (1 + 1 / n))
    each = 0.5 * ((n - 1) / n + math.log2(2 / (n + 1)) / n)
    result = jensen_shannon(cells[:1].unsqueeze(0), cells.unsqueeze(0))
    assert result == pytest.approx(one + each, abs=1e-12)


def test_a_point_within_half_a_step_of_a_centre_is_in_its_cell():
    cells = centres(28)
    moved = cells + (torch.rand(len(cells), 3) - 0.5) * 0.99 * STEP
    assert jensen_shannon(cells.unsqueeze(0), moved.unsqueeze(0)) == 0
    further = cells.clone()
    further[:, 0] -= 0.51 * STEP * cells[:, 0].sign()  # to the next cell inwards
    assert jensen_shannon(cells.unsqueeze(0), further.unsqueeze(0)) > 0.01


@pytest.mark.parametrize("scale", [0.05, 0.2, 0.6, 30, 1e6])
@pytest.mark.parametrize("resolution", [3, 8, 28])
def test_equals_the_naive_twin_inside_and_outside(scale, resolution):
    a = torch.randn(3, 40, 3) * scale
    b = torch.randn(2, 50, 3) * scale + 0.1
    assert jensen_shannon(a, b, resolution=resolution) == pytest.approx(
        naive(a, b, resolution), abs=1e-12
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 5), st.integers(1, 30), st.floats(0.01, 2))
def test_laws(seed, shapes, points, scale):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(shapes, points, 3, generator=generator) * scale
    b = torch.randn(2, 20, 3, generator=generator) * scale
    result = jensen_shannon(a, b)
    assert 0 <= result <= 1
    assert jensen_shannon(b, a) == result
    assert jensen_shannon(a, a) == 0
    # Neither the order of the points counts nor their clouds, nor how often all of them occur.
    flat = a.reshape(-1, 3)[torch.randperm(shapes * points, generator=generator)]
    assert jensen_shannon(flat.unsqueeze(0), b) == result
    assert jensen_shannon(torch.cat([a, a]), b) == pytest.approx(result, abs=1e-12)


def test_disjoint_sets_are_one_bit_apart():
    a = torch.rand(4, 100, 3) * 0.2 + 0.05
    assert jensen_shannon(a, -a) == 1


def test_precision_of_the_clouds_and_of_the_default_do_not_matter():
    a, b = torch.rand(2, 3, 200, 3, dtype=torch.float32) * 2 - 1
    result = jensen_shannon(a, b)
    assert jensen_shannon(a.double(), b.double()) == result
    torch.set_default_dtype(torch.float32)
    assert jensen_shannon(a, b) == result


def test_outside_share():
    radii = torch.tensor([0.0, 0.4, 0.5, 0.5005, 0.502, 7])
    cloud = torch.nn.functional.normalize(torch.randn(6, 3), dim=1) * radii.unsqueeze(1)
    assert outside_share(cloud.unsqueeze(0)) == 2 / 6


@pytest.mark.parametrize("bad", [torch.zeros(4, 3), torch.zeros(2, 0, 3), torch.zeros(2, 4, 2)])
def test_bad_shapes(bad):
    good = torch.zeros(1, 1, 3)
    with pytest.raises(ValueError, match=r"a: expected \(S, N, 3\)"):
        jensen_shannon(bad, good)
    with pytest.raises(ValueError, match=r"b: expected \(S, N, 3\)"):
        jensen_shannon(good, bad)
    with pytest.raises(ValueError, match=r"clouds: expected \(S, N, 3\)"):
        outside_share(bad)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -1e200])
def test_bad_values(value):
    good = torch.zeros(1, 4, 3)
    bad = good.clone()
    bad[0, 2, 1] = value
    with pytest.raises(ValueError, match="b: expected finite values"):
        jensen_shannon(good, bad)


def test_bad_resolution():
    with pytest.raises(ValueError, match="resolution: expected at least 3, got 2"):
        jensen_shannon(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), resolution=2)
