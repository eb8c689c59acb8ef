"""Means of the scores of pairs: of each category, and of the categories among each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

__all__ = ["SHOWN", "by_category", "heading"]

# The scores that a table has room for, by the factor that makes them readable.
SHOWN = {"CD": 1e3, "CD-L1": 1e2, "EMD": 1e2, "F-score": 1e2}


def by_category(
    scores: Mapping[str, Tensor], labels: Tensor, categories: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the mean of each score over the shapes of each category that there is.

    The last, "mean", is that of the categories, so that each counts alike, as in the literature.

    Args:
        scores: by name (S,).
        labels: (S,), indices of categories.
        categories: their names.
    """
    means = {
        category: {
            name: values[labels == label].double().mean().item() for name, values in scores.items()
        }
        for label, category in enumerate(categories)
        if bool((labels == label).any())
    }
    whole = {name: sum(of[name] for of in means.values()) / len(means) for name in scores}
    return means | {"mean": whole}


def heading(name: str) -> str:
    """Return the heading of a column of one of `SHOWN`, times its factor."""
    return f"{name} x{SHOWN[name]:g}" if name != "F-score" else "F-score %"
