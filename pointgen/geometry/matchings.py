"""What a solver of the assignment problem returns: a matching, its cost and a proven bound."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Matching"]


@dataclass(frozen=True)
class Matching:
    """One-to-one matchings of B pairs of clouds of N points each, with what is proven of them.

    The cheapest matching of a pair costs at least `bound` and at most `cost`; where the two are
    equal, the matching is a cheapest one.
    """

    assignment: Tensor
    """(B, N) int64: a[b, i] is matched with b[b, assignment[b, i]]."""

    cost: Tensor
    """(B,) float64: mean edge cost of the matching; data units, or their square."""

    bound: Tensor
    """(B,) float64: a lower bound of the mean edge cost of every matching; the units of cost."""
