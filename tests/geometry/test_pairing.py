import math

import pytest
import torch

from pointgen.geometry.pairing import kd_order, pair_kd
from pointgen.geometry.rotations import random_rotations


def torus(batch: int, count: int) -> torch.Tensor:
    u, v = (torch.rand(batch, count, 2) * 2 * math.pi).unbind(-1)
    ring = 1 + 0.4 * v.cos()
    return 1.5 * torch.stack([ring * u.cos(), 0.4 * v.sin(), ring * u.sin()], dim=-1)


def box(batch: int, count: int) -> torch.Tensor:
    """The surface of an elongated box."""
    points = torch.rand(batch, count, 3) * 2 - 1
    face = torch.randint(3, (batch, count, 1))
    return points.scatter(2, face, points.gather(2, face).sign()) * torch.tensor([0.4, 1.5, 0.8])


def cost(noise: torch.Tensor, data: torch.Tensor) -> float:
    return (noise - data).square().sum(dim=-1).mean().item()


def best_cost(noise: torch.Tensor, data: torch.Tensor) -> float:
    from scipy.optimize import linear_sum_assignment

    tables = torch.cdist(noise, data).square().numpy()
    return sum(table[linear_sum_assignment(table)].mean() for table in tables) / len(tables)


def kd_order_naive(points: torch.Tensor, axis: int = 0) -> list[int]:
    """The order of one cloud (N, 3), by the definition."""

    def cut(index: list[int], axis: int) -> list[int]:
        if len(index) < 2:
            return index
        index = sorted(index, key=lambda i: float(points[i, axis]))
        half = len(index) // 2
        return cut(index[:half], (axis + 1) % 3) + cut(index[half:], (axis + 1) % 3)

    return cut(list(range(len(points))), axis)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 7, 8, 31, 100, 257])
def test_order_is_that_of_the_recursive_tree(count):
    points = torch.randn(3, count, 3)
    assert kd_order(points).tolist() == [kd_order_naive(cloud) for cloud in points]


def test_equal_points_still_give_a_permutation():
    order = kd_order(torch.zeros(2, 37, 3))
    assert (order.sort(dim=1).values == torch.arange(37)).all()


@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize("count", [1, 6, 256, 300])
def test_pairing_only_reorders_the_noise(count, rotate):
    noise, data = torch.randn(4, count, 3), torch.randn(4, count, 3)
    paired = pair_kd(noise, data, rotate=rotate)
    for before, after in zip(noise, paired, strict=True):
        assert sorted(before.tolist()) == sorted(after.tolist())


@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize("shape", [torus, box])
@pytest.mark.parametrize("count", [256, 200])
def test_pairing_removes_most_of_the_gap_to_the_best_assignment(shape, count, rotate):
    data = shape(4, count)
    noise = torch.randn_like(data)
    random, best = cost(noise, data), best_cost(noise, data)
    paired = cost(pair_kd(noise, data, rotate=rotate), data)
    assert best <= paired < random - 0.85 * (random - best)


def test_partners_do_not_depend_on_the_order_of_the_data():
    noise, data = torch.randn(2, 50, 3), torch.randn(2, 50, 3)
    shuffle = torch.randperm(50)
    paired = pair_kd(noise, data, rotate=False)
    assert torch.equal(pair_kd(noise, data[:, shuffle], rotate=False), paired[:, shuffle])


def test_a_cloud_paired_with_its_own_copy_finds_itself():
    data = torch.randn(3, 77, 3)
    noise = data[:, torch.randperm(77)]
    assert torch.equal(pair_kd(noise, data), data)


def test_the_generator_alone_decides_the_rotation():
    noise, data = torch.randn(4, 64, 3), torch.randn(4, 64, 3)
    first, again, other = (
        pair_kd(noise, data, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_gradients_pass_to_the_noise_and_never_to_the_data():
    noise = torch.randn(2, 20, 3, requires_grad=True)
    data = torch.randn(2, 20, 3, requires_grad=True)
    pair_kd(noise, data).square().sum().backward()
    assert torch.allclose(noise.grad, 2 * noise)
    assert data.grad is None


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"points: expected \(B, N, 3\), got \(4, 3\)"):
        kd_order(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="noise: expected the shape of data"):
        pair_kd(torch.zeros(1, 4, 3), torch.zeros(1, 5, 3))


def test_rotations_are_proper_and_even():
    turns = random_rotations(4000)
    assert torch.allclose(turns @ turns.mT, torch.eye(3).expand_as(turns))
    assert torch.allclose(torch.linalg.det(turns), torch.ones(4000))
    # Under the uniform distribution each entry has mean 0 and variance 1/3.
    assert turns.mean(dim=0).abs().max() < 5 * (1 / 3 / 4000) ** 0.5
    assert (turns.square().mean(dim=0) - 1 / 3).abs().max() < 0.03
