"""A gallery of clouds as one HTML page that turns and zooms in any browser, offline."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from pointgen.view.camera import DISTANCE
from pointgen.view.clouds import Clouds, as_shapes, bounds, check_captions
from pointgen.view.light import sphere, visibility
from pointgen.view.palette import HEIGHT_STOPS, PLAIN
from pointgen.view.splat import sphere_radius

__all__ = ["page", "save_page"]

STEPS = 65535  # of a coordinate along each side of its cloud's box: two bytes


def page(clouds: Clouds, *, title: str, captions: Sequence[str] | None = None) -> str:
    """Return a page that shows all clouds at one scale and needs nothing but itself.

    A point takes seven bytes: three coordinates in steps of 1/65535 of the sides of its cloud's
    box, so that they are exact to 1/131070 of a side, and the light that reaches it.

    Args:
        clouds: (S, N, 3), one cloud (N, 3), or a sequence of (N_i, 3); y up.
        title: of the page; any text.
        captions: one for each cloud; any text.

    Raises:
        ValueError: A cloud is empty or not finite, or the captions do not match the clouds.
    """
    arrays = [shape.points for shape in as_shapes(clouds)]
    lines = check_captions(captions, len(arrays))
    largest = max(bounds(points)[1] for points in arrays)
    data = {
        "reach": max(_reach(points) for points in arrays) / largest,
        "distance": DISTANCE,
        "stops": HEIGHT_STOPS,
        "plain": PLAIN,
        "clouds": [
            _cloud(points, largest, caption) for points, caption in zip(arrays, lines, strict=True)
        ],
    }
    parts = {"title": html.escape(title), "data": _script_safe(json.dumps(data))}
    template = files("pointgen.view").joinpath("page.html").read_text(encoding="utf-8")
    return re.sub("@(title|data)@", lambda match: parts[match[1]], template)


def save_page(
    path: Path | str, clouds: Clouds, *, title: str, captions: Sequence[str] | None = None
) -> None:
    """Write the text of `page` to `path`, complete or not at all."""
    from pointgen.files import atomic

    text = page(clouds, title=title, captions=captions)
    with atomic(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _reach(points: np.ndarray) -> float:
    """Return how far any point is from the middle of the box, data units, at least a little."""
    centre, side = bounds(points)
    return max(float(np.linalg.norm(points - centre, axis=1).max()), 0.1 * side)


def _cloud(points: np.ndarray, largest: float, caption: str) -> dict[str, object]:
    """Return what the page knows of one cloud; sides and radius in units of the largest box."""
    low, high = points.min(axis=0).astype(float), points.max(axis=0).astype(float)
    box = high - low
    share = (points - low) / np.where(box > 0, box, 1)
    steps = np.round(STEPS * np.where(box > 0, share, 0.5)).astype("<u2")
    light = np.round(255 * _light(points)).astype(np.uint8)
    return {
        "caption": caption,
        "count": len(points),
        "box": [round(side, 6) for side in box / largest],
        "radius": round(sphere_radius(len(points)), 5),
        "points": base64.b64encode(steps.tobytes() + light.tobytes()).decode("ascii"),
    }


def _light(points: np.ndarray) -> np.ndarray:
    """Return how open (N,) in [0, 1] the surroundings of each point are; 1 on an even surface."""
    centre, side = bounds(points)
    placed = (points - centre) / side
    # a point of a surface sees half of all directions at best
    return np.clip(2 * visibility(placed, placed, sphere(64), sphere_radius(len(points))), 0, 1)


def _script_safe(text: str) -> str:
    """Keep any `</script>` or `<!--` inside the data from ending the script element."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
