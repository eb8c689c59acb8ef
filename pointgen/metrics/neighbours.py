"""Who is nearest to whom in two sets of clouds: all that MMD, COV and 1-NNA need to know."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Neighbours", "pair_count"]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest neighbours of S samples and R references.

    Its scores are those that `pointgen.metrics.scores` has from whole tables, bit for bit.
    """

    minima: Tensor
    """(R,) float64: distance of each reference to the nearest sample."""

    nearest_sample: Tensor
    """(R,) int64: that sample, the first of equally near ones."""

    sample_minima: Tensor
    """(S,) float64: distance of each sample to the nearest reference."""

    nearest_reference: Tensor
    """(S,) int64: the reference nearest to each sample, the first of equally near ones."""

    votes: Tensor
    """(S + R,) float64, samples first: of the shapes nearest to each (several, where they are
    exactly as near), the share that is of its own set."""

    nearest_other: Tensor
    """(S + R,) int64, samples first: one of those nearest shapes (of the winning set one that is
    nearer than all of the other set), a sample as 0 .. S-1, a reference as S .. S+R-1."""

    pairs: int
    """Number of pairs of different shapes, S R + S (S - 1) / 2 + R (R - 1) / 2."""

    solved: int
    """How many of them were solved to the end."""

    stopped_early: int
    """How many more the solver began, and left when they were proven not to matter."""

    @property
    def effort(self) -> dict[str, int]:
        """What it took, by name."""
        return {"pairs": self.pairs, "solved": self.solved, "begun": self.stopped_early}

    @property
    def minimum_matching_distance(self) -> float:
        """MMD, in the units of the distances; see `scores`."""
        return self.minima.mean().item()

    @property
    def coverage(self) -> float:
        """COV, from 0 to 1; see `scores`."""
        return self.nearest_reference.unique().numel() / len(self.minima)

    @property
    def nearest_neighbour_accuracy(self) -> float:
        """1-NNA, from 0 to 1; see `scores`."""
        return self.votes.mean().item()

    @classmethod
    def from_tables(cls, ss: Tensor, sr: Tensor, rr: Tensor) -> Neighbours:
        """Read them off whole tables, of any distance.

        Args:
            ss: (S, S), distances between samples.
            sr: (S, R), of sample to reference.
            rr: (R, R), distances between references.

        Raises:
            ValueError: A table is empty, has NaN, or does not fit the others.
        """
        samples, references = sr.shape if sr.ndim == 2 else (0, 0)
        _check("sr", sr, samples, references)
        _check("ss", ss, samples, samples)
        _check("rr", rr, references, references)
        pairs = pair_count(samples, references)
        union = torch.cat([torch.cat([ss, sr], dim=1), torch.cat([sr.mT, rr], dim=1)])
        return cls(
            minima=sr.amin(dim=0).double(),
            nearest_sample=sr.argmin(dim=0),
            sample_minima=sr.amin(dim=1).double(),
            nearest_reference=sr.argmin(dim=1),
            votes=torch.cat([_votes(ss, sr), _votes(rr, sr.mT)]),
            nearest_other=union.fill_diagonal_(torch.inf).argmin(dim=1),
            pairs=pairs,
            solved=pairs,
            stopped_early=0,
        )


def pair_count(samples: int, references: int) -> int:
    """Return how many pairs of different shapes two sets have."""
    union = samples + references
    return union * (union - 1) // 2


def _votes(own: Tensor, other: Tensor) -> Tensor:
    """Return the votes (S,) of shapes with distances (S, S) in their set and (S, R) beyond."""
    itself = torch.eye(len(own), dtype=torch.bool, device=own.device)
    # Not only infinitely far but never among the nearest: other distances may be infinite too.
    nearest = own.masked_fill(itself, torch.inf).amin(dim=1, keepdim=True)
    nearest = torch.minimum(nearest, other.amin(dim=1, keepdim=True))
    ours = ((own == nearest) & ~itself).sum(dim=1)
    theirs = (other == nearest).sum(dim=1)
    return ours.double() / (ours + theirs)


def _check(name: str, table: Tensor, rows: int, columns: int) -> None:
    if 0 in table.shape or table.shape != (rows, columns):
        expected = f"({rows}, {columns})" if rows else "(S, R), not empty"
        raise ValueError(f"{name}: expected {expected}, got {tuple(table.shape)}")
    if table.isnan().any():
        raise ValueError(f"{name}: expected distances, got NaN")
