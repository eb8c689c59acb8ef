import pytest
import torch

from pointgen.metrics.by_category import by_category, heading


def test_each_category_counts_alike():
    scores = {"CD": torch.tensor([1.0, 3.0, 10.0]), "F-score": torch.tensor([0.0, 1.0, 0.25])}
    means = by_category(scores, torch.tensor([0, 0, 2]), ["mug", "sofa", "table"])
    assert list(means) == ["mug", "table", "mean"]  # there is no sofa
    assert means["mug"] == {"CD": 2.0, "F-score": 0.5}
    assert means["mean"] == {"CD": pytest.approx(6.0), "F-score": pytest.approx(0.375)}


def test_headings_say_the_factor():
    assert [heading(name) for name in ("CD", "EMD", "F-score")] == [
        "CD x1000", "EMD x100", "F-score %"
    ]  # fmt: skip
