"""Other pictures of the same shape: what a camera, a lamp and a photographer may change.

Colours move: exposure, contrast, gamma, saturation, hue, noise, and now and then focus. The window
moves a little. Nothing is ever mirrored: the mirror image shows another shape.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from pointgen.images.framing import VISIBLE

__all__ = ["Window", "augmented", "random_background", "random_window"]

BLUR_SHARE = 0.2  # of the pictures
MARGIN = 0.1  # of the usual window
SCALE, SHIFT = 0.08, 0.04  # how much another window's margin, and its place, differ at most

# Gaussian noise from one random byte a value: the middle quantiles of 256 equal shares.
GAUSSIAN = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)], dtype=np.float32)
GREY = np.full((3, 3), 1 / 3, dtype=np.float32)  # projects a colour onto the grey axis
TURN = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=np.float32) / np.sqrt(np.float32(3))


class Window(NamedTuple):
    """What `framed` takes to look at an object a little differently.

    Attributes:
        margin: empty space on each side, as a share of the object's larger side.
        shift: right and down, in shares of the window's side.
    """

    margin: float = MARGIN
    shift: tuple[float, float] = (0.0, 0.0)


def random_window(rng: np.random.Generator) -> Window:
    """Return a window around the usual one, its margin and its two shifts uniformly distributed."""
    x, y = rng.uniform(-SHIFT, SHIFT, 2)
    return Window(MARGIN + float(rng.uniform(-SCALE, SCALE)), (float(x), float(y)))


def random_background(rng: np.random.Generator) -> tuple[float, float, float]:
    """Return a background colour in [0, 1]: white, a grey or any colour, a third each."""
    kind, colour = rng.integers(3), rng.random(3)
    if kind == 0:
        return 1.0, 1.0, 1.0
    if kind == 1:
        colour[:] = colour[0]
    return float(colour[0]), float(colour[1]), float(colour[2])


def augmented(rgba: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the picture in other light, (H, W, 4) uint8; its shape and place are unchanged.

    Args:
        rgba: (H, W, 4) uint8, straight alpha.
        rng: where the randomness comes from; the same state gives the same picture.
    """
    colours = _curve(rng, _brightness(rgba))[rgba[..., :3]] @ _mixing(rng)
    noise = GAUSSIAN * np.float32(rng.uniform(0, 6))
    colours += noise[rng.integers(0, 256, colours.shape, dtype=np.uint8)]
    np.clip(colours, 0, 255, out=colours)
    result = np.empty_like(rgba)
    result[..., :3] = colours
    result[..., 3] = rgba[..., 3]
    return _blurred(result, rng.uniform(0.3, 1.0)) if rng.random() < BLUR_SHARE else result


def _curve(rng: np.random.Generator, middle: float) -> np.ndarray:
    """Return the new value, of 255, of each of the 256: gamma, exposure and contrast.

    Contrast turns around `middle` in [0, 1], the object's own brightness: around a fixed grey a
    dark object would become a black silhouette.
    """
    gamma, contrast = np.exp(rng.uniform(-0.3, 0.3, 2))
    middle = middle**gamma
    # Less for bright objects, which would become a white one.
    exposure = 1 + rng.uniform(-0.3, 0.3) * min(1, (1 - middle) / max(middle, 1e-3))
    curve = exposure * np.linspace(0, 1, 256) ** gamma
    middle *= exposure
    return (255 * ((curve - middle) * contrast + middle)).astype(np.float32)


def _brightness(rgba: np.ndarray) -> float:
    """Return the mean of the visible colours in [0, 1], from every fifth row and column."""
    few = rgba[::5, ::5]
    visible = few[few[..., 3] > VISIBLE]
    return float(visible[:, :3].mean()) / 255 if len(visible) else 0.5


def _mixing(rng: np.random.Generator) -> np.ndarray:
    """Return the matrix (3, 3) that turns colours around the grey axis and stretches them from it.

    For row vectors. Source: Rodrigues' formula, with the axis (1, 1, 1).
    """
    saturation = np.float32(rng.uniform(0.6, 1.4))
    hue = np.float32(rng.uniform(-0.3, 0.3))  # radians
    across = np.eye(3, dtype=np.float32) - GREY
    return (GREY + saturation * (np.cos(hue) * across + np.sin(hue) * TURN)).T


def _blurred(rgba: np.ndarray, share: float) -> np.ndarray:
    """Return the picture out of focus, by `share` of a hundredth of its larger side."""
    radius = share * max(rgba.shape[:2]) / 100  # pixels
    picture = Image.fromarray(rgba).convert("RGBa")
    return np.asarray(picture.filter(ImageFilter.BoxBlur(radius)).convert("RGBA"))
