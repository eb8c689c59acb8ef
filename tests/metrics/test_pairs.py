import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch.nn.functional import normalize

from pointgen.metrics import pairs
from pointgen.metrics.pairs import DEFINITIONS_OF_PAIRS, Threshold, reconstruction_scores

NEAR = Threshold(0.1)


def grid(step: float = 1.0) -> torch.Tensor:
    """64 points in a cube of side 3 steps, (1, 64, 3)."""
    line = torch.arange(4) * step
    return torch.cartesian_prod(line, line, line).unsqueeze(0)


def naive(
    a: torch.Tensor, b: torch.Tensor, threshold: float, normals: tuple[torch.Tensor, torch.Tensor]
) -> dict[str, float]:
    """The definitions, for one cloud (N, 3) and its reference (M, 3); EMD needs N = M."""
    table = (a.unsqueeze(1) - b).norm(dim=-1)
    there, back = table.min(dim=1), table.min(dim=0)
    precision = (there.values < threshold).double().mean()
    recall = (back.values < threshold).double().mean()
    cosines = (normals[0] @ normals[1].mT).abs()
    rows, columns = torch.arange(len(a)), torch.arange(len(b))
    result = {
        "CD": there.values.square().mean() + back.values.square().mean(),
        "CD-L1": (there.values.mean() + back.values.mean()) / 2,
        "accuracy": there.values.mean(),
        "completeness": back.values.mean(),
        "precision": precision,
        "recall": recall,
        "F-score": 2 / (1 / precision + 1 / recall),
        "normals": (cosines[rows, there.indices].mean() + cosines[back.indices, columns].mean())
        / 2,
    }
    if len(a) == len(b):
        result["EMD"] = table[linear_sum_assignment(table)].mean()
    return {name: value.item() for name, value in result.items()}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_equals_the_definitions_for_each_pair(seed, n, m, equal):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(3, n, 3, generator=generator)
    b = torch.randn(3, n if equal else m, 3, generator=generator)
    normals = [normalize(torch.randn(c.shape, generator=generator), dim=-1) for c in (a, b)]
    result = reconstruction_scores(
        a,
        b,
        threshold=Threshold(0.8),
        normals_a=normals[0] * -7,
        normals_b=normals[1],
        emd_error=0.0 if a.shape == b.shape else None,
    )
    for i in range(3):
        expected = naive(a[i], b[i], 0.8, (normals[0][i], normals[1][i]))
        assert {name: values[i].item() for name, values in result.items()} == pytest.approx(
            expected, abs=1e-9
        )
    assert all(values.shape == (3,) for values in result.values())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_laws(seed):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(2, 15, 3, generator=generator)
    b = torch.randn(2, 15, 3, generator=generator)
    there = reconstruction_scores(a, b, threshold=Threshold(0.7))
    back = reconstruction_scores(b, a, threshold=Threshold(0.7))
    for name in ("CD", "CD-L1", "F-score", "EMD"):
        assert torch.allclose(there[name], back[name])
    for one, other in (("precision", "recall"), ("accuracy", "completeness")):
        assert torch.equal(there[one], back[other])
    # A matching cannot be cheaper than going to the nearest point; squares are above by Jensen.
    assert (there["EMD"] >= torch.maximum(there["accuracy"], there["completeness"]) - 1e-12).all()
    assert (there["CD"] >= 2 * there["CD-L1"].square() - 1e-12).all()
    order = torch.randperm(15, generator=generator)
    shuffled = reconstruction_scores(a[:, order], b, threshold=Threshold(0.7))
    assert all(torch.allclose(shuffled[name], there[name]) for name in there)
    # A share of the box grows with the clouds, as distances do.
    share = Threshold(0.2, of="box")
    small = reconstruction_scores(a, b, threshold=share)
    large = reconstruction_scores(8 * a + 1, 8 * b + 1, threshold=share)
    powers = {"CD": 64, "CD-L1": 8, "accuracy": 8, "completeness": 8, "EMD": 8}
    for name in small:
        assert torch.allclose(large[name], powers.get(name, 1) * small[name])


def test_a_shifted_grid():
    a, b = grid() + torch.tensor([0.125, 0, 0]), grid()
    result = reconstruction_scores(a, b, threshold=NEAR)
    assert result["CD"].item() == 2 / 64
    for name in ("CD-L1", "accuracy", "completeness", "EMD"):
        assert result[name].item() == pytest.approx(1 / 8, abs=1e-12)
    for name in ("precision", "recall", "F-score"):
        assert result[name].item() == 0
    assert reconstruction_scores(a, b, threshold=Threshold(0.126))["F-score"].item() == 1


def test_one_outlier():
    a = grid().clone()
    a[0, -1] = torch.tensor([3.0, 3, 7])  # was at 3, 3, 3; its nearest neighbours are at 1
    result = reconstruction_scores(a, grid(), threshold=NEAR)
    assert result["accuracy"].item() == 4 / 64
    assert result["completeness"].item() == 1 / 64
    assert result["CD"].item() == (16 + 1) / 64
    assert result["EMD"].item() == pytest.approx(4 / 64)
    for name in ("precision", "recall", "F-score"):
        assert result[name].item() == pytest.approx(63 / 64)


def test_clouds_of_different_sizes_without_emd():
    a, b = grid()[:, :32], grid()
    result = reconstruction_scores(a, b, threshold=NEAR, emd_error=None)
    assert "EMD" not in result
    assert result["precision"].item() == 1
    assert result["recall"].item() == 1 / 2
    assert result["F-score"].item() == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="b: expected clouds of 32 points as in a, got 64"):
        reconstruction_scores(a, b, threshold=NEAR)


def test_identical_clouds_are_perfect():
    clouds = torch.randn(2, 50, 3, dtype=torch.float32)
    normals = torch.randn(2, 50, 3, dtype=torch.float32)
    result = reconstruction_scores(
        clouds, clouds, threshold=Threshold(1e-9), normals_a=normals, normals_b=-3 * normals
    )
    for name, values in result.items():
        best = 1 if name in ("precision", "recall", "F-score", "normals") else 0
        assert values.tolist() == pytest.approx([best, best], abs=1e-6 if name == "normals" else 0)


def test_normals():
    # On the grid's plane all point up; those of the other cloud lean by 60 degrees, or down.
    plane = grid()[:, ::4]
    up = torch.tensor([0.0, 0, 1]).expand(1, 16, 3)
    lean = torch.tensor([0.0, math.sqrt(3) / 2, 1 / 2])
    mixed = torch.where(torch.arange(16).view(1, 16, 1) < 8, lean, -up)
    result = reconstruction_scores(plane, plane, threshold=NEAR, normals_a=up, normals_b=mixed)
    assert result["normals"].item() == pytest.approx(3 / 4)


def test_many_pairs_are_scored_as_each_alone_and_progress_is_told():
    a, b, normals_a, normals_b = torch.randn(4, 40, 20, 3)
    told: list[int] = []
    result = reconstruction_scores(
        a, b, threshold=NEAR, normals_a=normals_a, normals_b=normals_b, progress=told.append
    )
    assert len(told) > 1 and sum(told) == 40
    assert list(result) == list(DEFINITIONS_OF_PAIRS)
    for i in (0, 16, 39):
        one = slice(i, i + 1)
        alone = reconstruction_scores(
            a[one], b[one], threshold=NEAR, normals_a=normals_a[one], normals_b=normals_b[one]
        )
        assert all(torch.allclose(result[name][one], alone[name]) for name in result)


def test_half_precision_is_scored_in_single():
    a, b = torch.randn(2, 3, 20, 3).half()
    half = reconstruction_scores(a, b, threshold=Threshold(0.5))
    single = reconstruction_scores(a.float(), b.float(), threshold=Threshold(0.5))
    assert all(torch.equal(half[name], single[name]) for name in single)


def test_the_error_allowed_to_emd_is_passed_on(monkeypatch):
    asked = []

    def solver(a: torch.Tensor, b: torch.Tensor, *, error: float) -> torch.Tensor:
        asked.append(error)
        return torch.zeros(len(a))

    monkeypatch.setattr(pairs, "emd", solver)
    reconstruction_scores(grid(), grid(), threshold=NEAR, emd_error=0.25)
    reconstruction_scores(grid(), grid(), threshold=NEAR)
    reconstruction_scores(grid(), grid(), threshold=NEAR, emd_error=None)
    assert asked == [0.25, 0.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.01", Threshold(0.01)),
        ("1%", Threshold(0.01, of="box")),
        (" 2.5 % ", Threshold(0.025, of="box")),
        ("0.001sq", Threshold(0.001, squared=True)),
        ("1e-3 sq", Threshold(0.001, squared=True)),
    ],
)
def test_threshold_from_text(text, expected):
    assert Threshold.parse(text) == expected


@pytest.mark.parametrize("text", ["", "%", "sq", "a", "1sq%", "1%sq", "1 cm", "0.1 0.2"])
def test_texts_that_are_no_threshold(text):
    with pytest.raises(ValueError, match="threshold: expected a number, alone or with"):
        Threshold.parse(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-2%", "0sq"])
def test_thresholds_that_make_no_sense(text):
    with pytest.raises(ValueError, match="threshold: expected a finite value above 0, got"):
        Threshold.parse(text)


def test_a_squared_share_of_the_box_is_refused():
    with pytest.raises(ValueError, match="threshold: a share of the box"):
        Threshold(0.1, squared=True, of="box")
    with pytest.raises(ValueError, match="threshold: expected one of absolute or box, got side"):
        Threshold(0.1, of="side")


def test_what_a_threshold_is_compared_with():
    box = torch.tensor([[[0.0, 1, 5], [2, 5, 4]]])  # sides 2, 4, 1
    assert Threshold(0.1).squares(box).item() == pytest.approx(0.01)
    assert Threshold(0.001, squared=True).squares(box).item() == pytest.approx(0.001)
    assert Threshold(0.01, of="box").squares(box).item() == pytest.approx(0.04**2)


def test_descriptions_of_thresholds():
    assert Threshold.parse("0.01").description == "distance below 0.01 units"
    assert "below 1 % of the longest side" in Threshold.parse("1%").description
    squared = Threshold.parse("0.001sq").description
    assert squared == "squared distance below 0.001 squared units (distance below 0.0316)"


GOOD = {"a": torch.zeros(2, 4, 3), "b": torch.zeros(2, 4, 3), "threshold": NEAR}
UP = torch.ones(2, 4, 3)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"a": torch.zeros(4, 3)}, r"a: expected \(B, N, 3\) with B and N > 0, got \(4, 3\)"),
        ({"b": torch.zeros(2, 0, 3)}, r"b: expected \(B, N, 3\)"),
        ({"b": torch.zeros(2, 4, 2)}, r"b: expected \(B, N, 3\)"),
        ({"b": torch.zeros(3, 4, 3)}, "b: expected 2 clouds as in a, got 3"),
        ({"a": torch.full((2, 4, 3), torch.nan)}, "a: expected finite values"),
        ({"b": torch.full((2, 4, 3), torch.inf)}, "b: expected finite values"),
        ({"normals_a": UP}, "normals: expected those of both clouds or none, got one"),
        ({"normals_b": UP}, "normals: expected those of both clouds or none, got one"),
        ({"normals_a": UP[:, :3], "normals_b": UP}, "normals_a: expected the shape of the points"),
        ({"normals_a": UP, "normals_b": 0 * UP}, "normals_b: expected finite normals with a"),
        ({"normals_a": UP / 0, "normals_b": UP}, "normals_a: expected finite normals with a"),
    ],
)
def test_bad_input(bad, message):
    with pytest.raises(ValueError, match=message):
        reconstruction_scores(**{**GOOD, **bad})
