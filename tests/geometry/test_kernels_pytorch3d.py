"""The adaptor to PyTorch3D, against the package where it is there, and against a stand-in."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from pointgen.geometry.kernels.pytorch3d import nearest, pair_means


def clouds(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 3, generator=generator, dtype=torch.float32)


def squared(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a.double()[:, :, None] - b.double()[:, None]).square().sum(dim=-1)


class StandIn:
    """`knn_points` by its documentation, and the shapes it was called with."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def knn_points(self, p1: torch.Tensor, p2: torch.Tensor, *, K: int) -> SimpleNamespace:
        self.shapes.append((*p1.shape[:2], p2.shape[1]))
        found = squared(p1, p2).topk(K, dim=2, largest=False)
        return SimpleNamespace(dists=found.values.to(p1.dtype), idx=found.indices, knn=None)


@pytest.fixture(
    params=["stand-in", pytest.param("installed", marks=pytest.mark.needs("pytorch3d"))]
)
def package(request, monkeypatch):
    if request.param == "installed":
        return None
    stand_in, module = StandIn(), ModuleType("pytorch3d")
    module.ops = stand_in
    monkeypatch.setitem(sys.modules, "pytorch3d", module)
    return stand_in


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 5), (1, 30), (64, 33)])
def test_nearest_equals_the_naive_twin(package, n, m):
    a, b = clouds(0, 3, n), clouds(1, 3, m)
    expected = squared(a, b).min(dim=2)
    distance, index = nearest(a, b)
    assert distance.dtype == a.dtype
    assert torch.allclose(distance.double(), expected.values, rtol=1e-6, atol=0)
    assert torch.equal(index, expected.indices)


@pytest.mark.parametrize("memory", [1, 6000, 2**28])
def test_means_equal_the_naive_twin(package, memory):
    a, b = clouds(0, 4, 31), clouds(1, 3, 20)
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(3))
    table = squared(a[pairs[:, 0]], b[pairs[:, 1]])
    sides = [table.amin(dim=2), table.amin(dim=1)]
    expected = torch.stack([d.mean(dim=1) for d in sides], dim=1)
    means = pair_means(a, b, pairs, memory=memory)
    assert means.dtype == a.dtype
    assert torch.allclose(means.double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("package", ["stand-in"], indirect=True)
def test_memory_bounds_the_pairs_at_a_time(package):
    a, b = clouds(0, 4, 31), clouds(1, 3, 20)
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(3))
    pair_means(a, b, pairs, memory=6000)  # 32 bytes for each of 51 points of a pair
    assert package.shapes == [(3, 31, 20), (3, 20, 31)] * 4
    package.shapes.clear()
    pair_means(a, b, pairs)
    assert package.shapes == [(12, 31, 20), (12, 20, 31)]


def test_no_pairs(package):
    means = pair_means(clouds(0, 2, 3), clouds(1, 2, 3), torch.empty(0, 2).long())
    assert means.shape == (0, 2)


def test_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    with pytest.raises(ImportError, match="pip install pytorch3d"):
        nearest(clouds(0, 1, 3), clouds(1, 1, 3))
