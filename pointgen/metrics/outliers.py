"""Telling clouds of another kind from those that a model knows."""

from __future__ import annotations

import lzma
import math

import numpy as np
import torch

from pointgen.geometry.hilbert import hilbert_order

__all__ = ["auroc", "code_length", "share_as_strange", "unlikeness"]

CELLS = 10  # bits of each coordinate that are compressed
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]


def auroc(known: np.ndarray, strange: np.ndarray) -> float:
    """Return how often a strange one (M,) scores higher than a known one (N,), in [0, 1].

    It is the area under the receiver operating characteristic; equal scores count half. 0.5 is
    chance, and below it the known ones are taken for the strange.
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([known, strange]))[len(known) :]
    above = ranks.sum() - len(strange) * (len(strange) + 1) / 2
    return float(above / (len(known) * len(strange)))


def code_length(points: np.ndarray, low: np.ndarray, size: float) -> float:
    """Return for how many nats a point, on average, a compressor that knows no shapes writes it.

    Coordinates are rounded to 1 / 1024 of a box, put in order along a Hilbert curve, and the
    differences compressed by LZMA; for a model to compare with, the nats of a density at that
    rounding are added: 3 log(cell). Source: Serra et al. 2020, section 3, for clouds.

    Args:
        points: (N, 3), data units.
        low: (3,), lowest corner of the box, data units, the same for all clouds to compare.
        size: of the box's sides, data units.
    """
    place = np.clip((points - low) / size, 0, 1)
    (order,) = hilbert_order(torch.from_numpy(place)[None], bits=CELLS, bounds=(0.0, 1.0))
    cells = np.round(place[order.numpy()] * (2**CELLS - 1)).astype(np.int64)
    steps = np.diff(cells, axis=0, prepend=0).T
    small = np.where(steps < 0, -2 * steps - 1, 2 * steps)  # signs last, so that high bytes are 0
    planes = np.stack([small & 255, small >> 8]).astype(np.uint8)
    packed = lzma.compress(planes.tobytes(), format=lzma.FORMAT_RAW, filters=FILTERS)
    return 8 * len(packed) * math.log(2) / len(points) + 3 * math.log(size / 2**CELLS)


def unlikeness(
    surprise: np.ndarray,
    category: np.ndarray,
    known_surprise: np.ndarray,
    known_category: np.ndarray,
) -> np.ndarray:
    """Return how far surprises (M,) are from those of known shapes of the same category, (M,).

    In standard deviations of the known (N,), of which each category has two or more. Too little
    surprise counts as much as too much: simple shapes of other kinds are likelier than known ones.
    Source: Nalisnick et al. 2019 (typicality), for each category.

    Raises:
        ValueError: A category has fewer than two known shapes.
    """
    result = np.zeros(len(surprise))
    for name in np.unique(category):
        known = known_surprise[known_category == name]
        if len(known) < 2:
            raise ValueError(
                f"expected two or more known shapes of category {name}, got {len(known)}"
            )
        here = category == name
        result[here] = np.abs(surprise[here] - known.mean()) / known.std(ddof=1)
    return result


def share_as_strange(scores: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return for what share of known shapes some score is as high as this, (M,), in (0, 1].

    Each score is compared with its own values of the known, and of several the strangest counts,
    times their number, as it had so many chances (Bonferroni's correction).

    Args:
        scores: (K, M), K scores of M shapes, higher for stranger ones.
        known: (K, N), the same of known shapes.
    """
    above = (known[:, None, :] >= scores[:, :, None]).sum(-1)  # (K, M)
    shares = (1 + above) / (1 + known.shape[1])
    return np.minimum(1.0, len(scores) * shares.min(0))
