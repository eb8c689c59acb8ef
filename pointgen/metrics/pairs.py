"""Scores of reconstructions: each cloud against its own reference, by points near to each other.

Source: Fan et al. 2017 (Chamfer distance and EMD of point sets); Mescheder et al. 2019, section
4.2 (accuracy, completeness, Chamfer-L1, normal consistency); Knapitsch et al. 2017, section 3.4,
and Tatarchenko et al. 2019, section 5 (precision, recall and F-score at a distance).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from pointgen.geometry.distances import Nearest, nearest
from pointgen.geometry.emd import emd
from pointgen.geometry.points import check_clouds, take

__all__ = ["DEFINITIONS_OF_PAIRS", "Threshold", "reconstruction_scores"]

# Enough for the threads of the solver to share, and few enough for a report of progress.
PAIRS_AT_ONCE = 16

DEFINITIONS_OF_PAIRS = {
    "CD": "Chamfer: mean squared distance to the nearest point, both ways added; squared units",
    "CD-L1": "mean distance to the nearest point, mean of both ways; units of the clouds",
    "accuracy": "mean distance of a cloud's points to the nearest of the reference; units of the "
    "clouds, lower is better",
    "completeness": "mean distance of the reference's points to the nearest of the cloud; units of "
    "the clouds, lower is better",
    "EMD": "mean distance of matched points in the cheapest one-to-one matching; units of the "
    "clouds",
    "precision": "share of the cloud's points that are nearer to a point of the reference than the "
    "threshold",
    "recall": "share of the reference's points that are nearer to a point of the cloud than the "
    "threshold",
    "F-score": "harmonic mean of precision and recall, 0 if both are; higher is better",
    "normals": "normal consistency: mean absolute cosine between the normals of nearest points, "
    "mean of both ways; 1 is best",
}


@dataclass(frozen=True)
class Threshold:
    """Up to which distance two points count as near.

    Attributes:
        value: more than 0.
        squared: whether it is compared with squared distances.
        of: "absolute": data units, or squared ones; "box": a share of the longest side of the
            reference's bounding box.

    Raises:
        ValueError: The value is not positive and finite, or a share of the box is to be squared.
    """

    value: float
    squared: bool = False
    of: Literal["absolute", "box"] = "absolute"

    def __post_init__(self) -> None:
        if not 0 < self.value < math.inf:
            raise ValueError(f"threshold: expected a finite value above 0, got {self.value}")
        if self.of not in ("absolute", "box"):
            raise ValueError(f"threshold: expected one of absolute or box, got {self.of}")
        if self.squared and self.of == "box":
            raise ValueError("threshold: a share of the box is compared with distances as they are")

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Read "0.01" (a distance), "1%" (of the box's longest side) or "0.001sq" (squared).

        Raises:
            ValueError: The text is none of these.
        """
        unit = next((unit for unit in ("%", "sq") if text.rstrip().endswith(unit)), "")
        try:
            value = float(text.rstrip().removesuffix(unit))
        except ValueError:
            raise ValueError(
                f"threshold: expected a number, alone or with % or sq behind it, got {text!r}"
            ) from None
        if unit == "%":
            return cls(value / 100, of="box")
        return cls(value, squared=unit == "sq")

    @property
    def description(self) -> str:
        """What is compared with what, in one line."""
        if self.of == "box":
            share = f"{100 * self.value:g} %"
            return f"distance below {share} of the longest side of the reference's bounding box"
        if self.squared:
            return (
                f"squared distance below {self.value:g} squared units "
                f"(distance below {math.sqrt(self.value):.3g})"
            )
        return f"distance below {self.value:g} units"

    def squares(self, reference: Tensor) -> Tensor:
        """Return for references (B, M, 3) the squared distances (B,) to stay below."""
        if self.of == "box":
            sides = reference.amax(dim=1) - reference.amin(dim=1)  # (B, 3)
            return (self.value * sides.amax(dim=1)).square()
        return reference.new_full(reference.shape[:1], self.value ** (1 if self.squared else 2))


@torch.no_grad()
def reconstruction_scores(
    a: Tensor,
    b: Tensor,
    *,
    threshold: Threshold,
    normals_a: Tensor | None = None,
    normals_b: Tensor | None = None,
    emd_error: float | None = 0.0,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Tensor]:
    """Score each cloud against the reference at the same place.

    `DEFINITIONS_OF_PAIRS` says what each score is.

    Args:
        a: (B, N, 3), reconstructions, data units.
        b: (B, M, 3), their references, data units.
        threshold: For precision, recall and F-score.
        normals_a: (B, N, 3), normals of the points of a, of any length but zero and any sign.
        normals_b: (B, M, 3), the same of b. With none of the two there is no "normals".
        emd_error: The relative error allowed to EMD, 0 for the exact one; None leaves it out.
        progress: Called with the number of pairs done since the last call.

    Returns:
        By name (B,), at least in single precision. They are no sums or means over the batch.

    Raises:
        ValueError: A shape is wrong, values are not finite, N and M differ though EMD is wanted,
            normals of one side only are given, or some have no length.
    """
    _check(a, b)
    normals = _directions(a, b, normals_a, normals_b)
    if emd_error is not None and a.shape != b.shape:
        raise ValueError(
            f"b: expected clouds of {a.shape[1]} points as in a, got {b.shape[1]}; EMD is between "
            "clouds of equal size, emd_error=None leaves it out"
        )
    a, b = (clouds.to(torch.promote_types(clouds.dtype, torch.float32)) for clouds in (a, b))
    parts = []
    for start in range(0, len(a), PAIRS_AT_ONCE):
        chosen = slice(start, start + PAIRS_AT_ONCE)
        some_a, some_b = a[chosen], b[chosen]
        there, back = nearest(some_a, some_b), nearest(some_b, some_a)
        scores = _by_distance(there, back, threshold.squares(some_b))
        if emd_error is not None:
            scores["EMD"] = emd(some_a, some_b, error=emd_error)
        if normals is not None:
            ours, theirs = (each[chosen] for each in normals)
            scores["normals"] = (_cosines(ours, theirs, there) + _cosines(theirs, ours, back)) / 2
        parts.append(scores)
        if progress is not None:
            progress(len(some_a))
    names = [name for name in DEFINITIONS_OF_PAIRS if name in parts[0]]
    return {name: torch.cat([scores[name] for scores in parts]) for name in names}


def _by_distance(there: Nearest, back: Nearest, squares: Tensor) -> dict[str, Tensor]:
    """Return all scores that need distances to the nearest points only.

    Args:
        there: of reconstructions to references.
        back: of references to reconstructions.
        squares: (B,), the squared distances below which points are near.
    """
    accuracy, completeness = (way.squared.sqrt().mean(dim=1) for way in (there, back))
    precision, recall = (
        (way.squared < squares.unsqueeze(1)).to(way.squared.dtype).mean(dim=1)
        for way in (there, back)
    )
    both = precision + recall
    return {
        "CD": there.squared.mean(dim=1) + back.squared.mean(dim=1),
        "CD-L1": (accuracy + completeness) / 2,
        "accuracy": accuracy,
        "completeness": completeness,
        "precision": precision,
        "recall": recall,
        "F-score": 2 * precision * recall / both.masked_fill(both == 0, 1),
    }


def _cosines(normals: Tensor, others: Tensor, way: Nearest) -> Tensor:
    """Return the means (B,) of |cos| between unit normals and those of the nearest points."""
    return (normals * take(others, way.index)).sum(dim=-1).abs().mean(dim=1)


def _directions(
    a: Tensor, b: Tensor, normals_a: Tensor | None, normals_b: Tensor | None
) -> tuple[Tensor, Tensor] | None:
    """Return the normals as unit vectors, or None where there are none."""
    if normals_a is None and normals_b is None:
        return None
    if normals_a is None or normals_b is None:
        raise ValueError("normals: expected those of both clouds or none, got one")
    for name, normals, points in (("normals_a", normals_a, a), ("normals_b", normals_b, b)):
        if normals.shape != points.shape:
            expected, got = tuple(points.shape), tuple(normals.shape)
            raise ValueError(f"{name}: expected the shape of the points {expected}, got {got}")
        if not bool((normals.isfinite().all(dim=-1) & (normals != 0).any(dim=-1)).all()):
            raise ValueError(f"{name}: expected finite normals with a length, got others")
    return _unit(normals_a), _unit(normals_b)


def _unit(vectors: Tensor) -> Tensor:
    """Return vectors of length one, of any that are not zero, be they as short as they may."""
    vectors = vectors / vectors.abs().amax(dim=-1, keepdim=True)
    return functional.normalize(vectors, dim=-1)


def _check(a: Tensor, b: Tensor) -> None:
    for name, clouds in (("a", a), ("b", b)):
        check_clouds(name, clouds)
        if not bool(clouds.isfinite().all()):
            raise ValueError(f"{name}: expected finite values, got others")
    if len(a) != len(b):
        raise ValueError(f"b: expected {len(a)} clouds as in a, got {len(b)}")
