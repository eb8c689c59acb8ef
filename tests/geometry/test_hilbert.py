"""Hilbert curves: unit steps, bijections, and orders that do not depend on the order of before."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointgen.geometry.hilbert import hilbert_keys, hilbert_layout, hilbert_order


def every_cell(side, dim):
    return torch.cartesian_prod(*[torch.arange(side)] * dim)


def skilling(cell, bits):
    """The published loops, on plain integers: the slow twin."""
    axes, dim = list(cell), len(cell)
    mask = 1 << (bits - 1)
    while mask > 1:
        for i in range(dim):
            if axes[i] & mask:
                axes[0] ^= mask - 1
            else:
                swapped = (axes[0] ^ axes[i]) & (mask - 1)
                axes[0] ^= swapped
                axes[i] ^= swapped
        mask >>= 1
    for i in range(1, dim):
        axes[i] ^= axes[i - 1]
    flips, mask = 0, 1 << (bits - 1)
    while mask > 1:
        if axes[-1] & mask:
            flips ^= mask - 1
        mask >>= 1
    digits = "".join(
        f"{(axes[i] ^ flips) >> b & 1}" for b in reversed(range(bits)) for i in range(dim)
    )
    return int(digits, 2)


def sort(points, **options):
    order = hilbert_order(points, **options)
    return points.gather(1, order.unsqueeze(-1).expand(-1, -1, 3))


@pytest.mark.parametrize(("dim", "bits"), [(2, 1), (2, 4), (3, 1), (3, 3), (4, 2)])
def test_the_curve_meets_every_cell_once_by_unit_steps(dim, bits):
    cells = every_cell(2**bits, dim)
    keys = hilbert_keys(cells, bits=bits)
    assert torch.equal(keys.sort().values, torch.arange(len(cells)))
    assert (cells[keys.argsort()].diff(dim=0).abs().sum(1) == 1).all()


@given(st.integers(1, 20), st.integers(2, 3), st.data())
@settings(max_examples=50, deadline=None)
def test_keys_are_those_of_the_slow_twin(bits, dim, data):
    cell = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=dim, max_size=dim))
    assert hilbert_keys(torch.tensor(cell), bits=bits).item() == skilling(cell, bits)


def test_the_curve_of_the_plane_is_known():
    # the U that opens to the right, from the origin up along the second axis' far side
    assert hilbert_keys(torch.tensor([[0, 0], [0, 1], [1, 1], [1, 0]]), bits=1).tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_finer_cells_refine_the_coarse_curve():
    cells = every_cell(16, 3)
    coarse = hilbert_keys(cells // 2, bits=3)
    # Halves of an odd number of levels are turned, but each coarse cell stays one stretch.
    fine = hilbert_keys(cells, bits=4)
    stretches = coarse[fine.argsort()].view(-1, 8)
    assert (stretches == stretches[:, :1]).all()


def test_the_order_is_a_permutation_that_puts_neighbours_together():
    points = torch.randn(4, 500, 3)
    order = hilbert_order(points)
    assert torch.equal(order.sort(dim=1).values, torch.arange(500).expand(4, -1))

    def steps(cloud):
        return cloud.diff(dim=1).norm(dim=-1).mean()

    assert steps(sort(points)) < 0.3 * steps(points)


@pytest.mark.parametrize("bits", [1, 10, 20])
def test_the_sorted_cloud_does_not_depend_on_the_order_of_before(bits):
    points = torch.randn(3, 200, 3)
    points[:, 100:150] = points[:, :50]  # equal points
    for axis in range(3):  # equal in two of the coordinates, and often in one cell
        others = [other for other in range(3) if other != axis]
        part = slice(150 + 15 * axis, 165 + 15 * axis)
        points[:, part, others] = points[:, 50 + 15 * axis : 65 + 15 * axis, others]
    points[0] = 9.0  # all of them outside the cube
    points[1, :, 0] = 7 + points[1, :, 0]
    shuffled = points[:, torch.randperm(200)]
    assert torch.equal(sort(shuffled, bits=bits), sort(points, bits=bits))


def test_each_cloud_is_ordered_alone_and_in_its_units():
    points = torch.randn(3, 64, 3)
    alone = torch.cat([hilbert_order(cloud[None]) for cloud in points])
    assert torch.equal(hilbert_order(points), alone)
    assert torch.equal(hilbert_order(4 * points + 1, bounds=(-11.0, 13.0)), alone)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (2, 4), (8, 8), (16, 32)])
def test_a_layout_meets_every_cell_once_by_unit_steps(size):
    layout = hilbert_layout(*size)
    assert torch.equal(layout.sort().values, torch.arange(size[0] * size[1]))
    cells = torch.stack([layout // size[1], layout % size[1]], dim=1)
    assert (cells.diff(dim=0).abs().sum(1) == 1).all()


def test_square_blocks_of_a_layout_are_stretches_of_the_sequence():
    height, width = 8, 16
    sequence = hilbert_layout(height, width).argsort().view(height, width)
    for side in (2, 4, 8):
        blocks = sequence.unfold(0, side, side).unfold(1, side, side).flatten(2)
        assert torch.equal(
            blocks.amax(-1) - blocks.amin(-1), torch.full(blocks.shape[:2], side**2 - 1)
        )


@pytest.mark.parametrize("size", [(3, 3), (4, 2), (4, 16), (0, 0), (2, 3)])
def test_a_grid_of_another_form_is_refused(size):
    with pytest.raises(ValueError, match="grid: expected"):
        hilbert_layout(*size)


def test_what_is_no_cloud_or_cube_is_refused():
    with pytest.raises(ValueError, match=r"points: expected \(B, N, 3\), got \(4, 3\)"):
        hilbert_order(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="bits: expected 1 to 20, got 21"):
        hilbert_order(torch.zeros(1, 4, 3), bits=21)
    with pytest.raises(ValueError, match="bounds"):
        hilbert_order(torch.zeros(1, 4, 3), bounds=(1.0, 1.0))
