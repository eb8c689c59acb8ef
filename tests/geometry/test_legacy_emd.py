import numpy as np
import pytest
import torch

from pointgen.geometry.emd import emd
from pointgen.geometry.legacy_emd import legacy_emd

KINDS = ["pointflow", "pvd", "sum-squared"]


def clouds(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Points on spheres of radius 0.5, stretched and moved a little."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(*shape, 3, generator=generator, dtype=dtype)
    points = 0.5 * points / points.norm(dim=-1, keepdim=True)
    stretch = 0.6 + 0.8 * torch.rand(shape[0], 1, 3, generator=generator, dtype=dtype)
    return points * stretch + 0.1 * torch.randn(shape[0], 1, 3, generator=generator, dtype=dtype)


def naive(a: np.ndarray, b: np.ndarray, last: int, squared: bool) -> float:
    """The sum of costs of one pair, point by point: a gives, b takes."""
    n = len(a)
    squares = np.array([[sum((p - q) ** 2) for q in b] for p in a])
    table = np.zeros((n, n))
    gives, takes = np.ones(n), np.ones(n)
    for j in range(7, last - 1, -1):
        w = np.exp(-(0.0 if j == -2 else 4.0**j) * squares)
        offer, wanted = np.zeros(n), np.zeros(n)
        for k in range(n):
            offer[k] = gives[k] / (1e-9 + sum(w[k, m] * takes[m] for m in range(n)))
        for m in range(n):
            wanted[m] = takes[m] * sum(w[k, m] * offer[k] for k in range(n))
        share = takes * np.minimum(1, takes / (wanted + 1e-9))
        takes = np.maximum(0, takes - wanted)
        for k in range(n):
            moved = w[k] * offer[k] * share
            table[k] += moved
            gives[k] = max(0, gives[k] - moved.sum())
    return float((table * (squares if squared else np.sqrt(squares))).sum())


@pytest.mark.parametrize("n", [1, 7, 30])
def test_equals_the_naive_twin(n):
    a, b = clouds(0, 3, n), clouds(1, 3, n)
    expected = {"pointflow": [], "pvd": [], "sum-squared": []}
    for x, y in zip(a.numpy(), b.numpy(), strict=True):
        expected["pointflow"].append(naive(x, y, -1, squared=False) / n)
        expected["sum-squared"].append(naive(x, y, -2, squared=True))
        expected["pvd"].append(expected["sum-squared"][-1] / n)
    for kind in KINDS:
        assert torch.allclose(legacy_emd(a, b, kind), torch.tensor(expected[kind]), rtol=1e-10)


def test_one_point_each():
    """With one point, and no pass of equal weights, most of the mass but not all goes over."""
    a, b = torch.zeros(1, 1, 3), torch.tensor([[[2.0, 0, 0]]])
    assert legacy_emd(a, b, "pvd").item() == pytest.approx(4, rel=1e-6)
    far = torch.tensor([[[20.0, 0, 0]]])
    # The widest pass but that of equal weights has exp(-d^2 / 4): nothing moves so far.
    assert legacy_emd(a, far, "pointflow").item() < 1e-20
    assert legacy_emd(a, far, "pvd").item() == pytest.approx(400, rel=1e-6)


def test_somewhat_above_the_exact_distance_and_not_symmetric():
    a, b = clouds(0, 8, 256), clouds(1, 8, 256)
    ratio = legacy_emd(a, b, "pointflow") / emd(a, b)
    assert (ratio > 1.05).all() and (ratio < 1.35).all()
    swapped = legacy_emd(b, a, "pointflow") / legacy_emd(a, b, "pointflow")
    assert (swapped - 1).abs().max() > 1e-3
    assert (swapped - 1).abs().max() < 0.1
    assert (legacy_emd(a, b, "pvd") > emd(a, b, squared=True)).all()


def test_not_zero_on_itself():
    a = clouds(0, 2, 128)
    assert (legacy_emd(0.2 * a, 0.2 * a, "pointflow") > 1e-4).all()
    assert (emd(a, a) == 0).all()


def test_single_precision_and_blocks_agree_with_double(monkeypatch):
    a, b = clouds(0, 3, 60), clouds(1, 3, 60)
    for kind in KINDS:
        whole = legacy_emd(a, b, kind)
        assert torch.allclose(legacy_emd(a.float(), b.float(), kind).double(), whole, rtol=1e-4)
        assert legacy_emd(a.float(), b.float(), kind).dtype == torch.float32
        with monkeypatch.context() as patch:
            patch.setattr("pointgen.geometry.legacy_emd.CPU_EDGES", 1500)
            assert torch.allclose(legacy_emd(a, b, kind), whole, rtol=1e-10)
            patch.setattr("pointgen.geometry.legacy_emd.HELD", 0)
            assert torch.allclose(legacy_emd(a, b, kind), whole, rtol=1e-10)


def test_wrong_arguments_are_named():
    good = torch.zeros(2, 5, 3)
    with pytest.raises(ValueError, match="kind: expected one of pointflow, pvd, sum-squared"):
        legacy_emd(good, good, "exact")
    with pytest.raises(ValueError, match=r"a: expected \(B, N, 3\)"):
        legacy_emd(good[0], good, "pvd")
    with pytest.raises(ValueError, match=r"b: expected the shape of a \(2, 5, 3\)"):
        legacy_emd(good, good[:, :4], "pvd")
