"""Find the object of a picture on plain ground: what differs from the colour of the border.

The border is plain where nine tenths of it lie near its median colour. A pixel's alpha then rises
with its distance from that colour. Specks are dropped: only pieces that hang together and are large
beside the largest stay. Small holes, such as highlights in the ground's colour, are filled; large
ones are openings, such as between the legs of a chair, and stay open.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["object_alpha"]

DETAIL = 768  # pixels of the longer side in which the object is searched: networks see fewer
PLAIN = 0.9  # share of the border that must be near its median: an object may touch it
NEAR = 20.0  # of 255: JPEG and soft light stay below it, textures do not
SOFT = 24.0  # of 255: over this range of distances alpha rises from 0 to 1
QUIET = 8.0  # of 255: JPEG rings that far around an edge on the cleanest ground
NOISE = 3.0  # the ground's own typical distances, times this, are still ground
SPECK = 0.02  # of the largest piece: smaller ones are dust, stamps and compression
HOLE = 0.01  # of the object: larger ones are openings
LEAST = 5e-4  # of the picture: less than this is no object


def object_alpha(rgb: np.ndarray) -> np.ndarray | None:
    """Return alpha (H, W), uint8, of the object; None where the ground is not plain.

    Args:
        rgb: (H, W, 3) uint8.
    """
    height, width = rgb.shape[:2]
    if min(height, width) < 8:
        return None  # nearly all of it is border
    small = _small(rgb)
    distance = _distance_from_ground(small)
    if distance is None:
        return None
    alpha = _cleaned(distance)
    if alpha is None:
        return None
    picture = Image.fromarray(np.round(255 * alpha).astype(np.uint8))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


def _small(rgb: np.ndarray) -> np.ndarray:
    """Return the picture (h, w, 3), float32, with at most about `DETAIL` pixels on a side."""
    step = max(1, -(-max(rgb.shape[:2]) // DETAIL))
    height, width = (max(8, side // step) for side in rgb.shape[:2])
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    if step > 1:
        picture = picture.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(picture, dtype=np.float32)


def _distance_from_ground(rgb: np.ndarray) -> np.ndarray | None:
    """Return how far each pixel (h, w) is beyond the ground's own spread; None if it is not plain.

    Distances are the largest over the channels, of 255.
    """
    border = np.concatenate(
        [band.reshape(-1, 3) for band in (rgb[:2], rgb[-2:], rgb[2:-2, :2], rgb[2:-2, -2:])]
    )
    ground = np.median(border, axis=0)
    spread = np.abs(border - ground).max(axis=-1)
    near = spread < NEAR
    if near.mean() < PLAIN:
        return None
    return np.abs(rgb - ground).max(axis=-1) - max(QUIET, NOISE * float(np.median(spread[near])))


def _cleaned(distance: np.ndarray) -> np.ndarray | None:
    """Return alpha (h, w) in [0, 1] without specks and small holes; None if nothing is left."""
    from scipy import ndimage

    alpha = np.clip(distance / SOFT, 0, 1)
    # Pieces that are up to four pixels apart hang together: thin bright rods break into dashes.
    near = ndimage.binary_dilation(alpha > 0.25, iterations=2)
    kept = near & _large(near, SPECK)
    alpha = alpha * kept
    area = np.count_nonzero(alpha > 0.5)
    if area < LEAST * alpha.size:
        return None
    holes = ndimage.binary_fill_holes(alpha > 0.5) & (alpha <= 0.5)
    return np.where(holes & ~_large(holes, HOLE * area), 1.0, alpha)


def _large(pieces: np.ndarray, least: float) -> np.ndarray:
    """Return the pixels of connected pieces with at least `least` pixels.

    Below one, `least` is a share of the largest piece.
    """
    from scipy import ndimage

    labels, _ = ndimage.label(pieces)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return (sizes >= (least if least >= 1 else least * sizes.max()))[labels] & pieces
