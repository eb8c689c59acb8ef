"""A gallery of clouds as one HTML page that turns, zooms and plays in any browser, offline."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from pointgen.geometry.directions import all_around
from pointgen.view.camera import DISTANCE
from pointgen.view.clouds import (
    Checked,
    Clouds,
    as_shapes,
    bounds,
    check_captions,
    vertex_colours,
)
from pointgen.view.light import visibility
from pointgen.view.palette import HEIGHT_STOPS, PLAIN, Palette
from pointgen.view.splat import sphere_radius

__all__ = ["page", "save_page"]

FINE = 65535  # steps of a coordinate along each side of its box: two bytes
COARSE = 255  # one byte
PIECES = 16  # of the way from noise to shape at most
TRIANGLES = 200_000  # of a surface at most: a page is sent around, and two megabytes are enough


def page(
    clouds: Clouds,
    *,
    title: str,
    captions: Sequence[str] | None = None,
    colors: Palette | None = None,
) -> str:
    """Return a page that shows all clouds at one scale and needs nothing but itself.

    A point takes seven bytes: three coordinates in steps of 1/65535 of the sides of its cloud's
    box, so that they are exact to 1/131070 of a side, and the light that reaches it. Colours take
    three bytes more. A way from noise takes six, and three for each bend of it: the page keeps as
    few as leave every point within a quarter of its sphere's radius of all given frames, if 15
    suffice for that. A surface takes seven bytes a vertex and six or twelve a triangle, and is left
    out where there are more than 200,000.

    Args:
        clouds: (S, N, 3), one cloud (N, 3), one `Shape`, or a sequence of (N_i, 3) and shapes; y
            up. Frames of a shape are evenly spaced in time.
        title: of the page; any text.
        captions: one for each cloud; any text.
        colors: which ones are shown first. None: those that came with the clouds, else by position.

    Raises:
        ValueError: A cloud is empty or not finite, or the captions do not match the clouds.
    """
    shapes = as_shapes(clouds)
    lines = check_captions(captions, len(shapes))
    largest = max(bounds(shape.points)[1] for shape in shapes)
    data = {
        "reach": max(_reach(shape.points) for shape in shapes) / largest,
        "largest": largest,
        "distance": DISTANCE,
        "stops": HEIGHT_STOPS,
        "plain": PLAIN,
        "palette": colors,
        "clouds": [_cloud(shape, largest, line) for shape, line in zip(shapes, lines, strict=True)],
    }
    parts = {
        "title": html.escape(title),
        "style": _part("page.css"),
        "program": _part("page_draw.js") + "\n" + _part("page.js"),
        "data": _script_safe(json.dumps(data)),
    }
    return re.sub(f"@({'|'.join(parts)})@", lambda match: parts[match[1]], _part("page.html"))


def save_page(
    path: Path | str,
    clouds: Clouds,
    *,
    title: str,
    captions: Sequence[str] | None = None,
    colors: Palette | None = None,
) -> None:
    """Write the text of `page` to `path`, complete or not at all."""
    from pointgen.files import atomic

    text = page(clouds, title=title, captions=captions, colors=colors)
    with atomic(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _part(name: str) -> str:
    return files("pointgen.view").joinpath(name).read_text(encoding="utf-8")


def _reach(points: np.ndarray) -> float:
    """Return how far any point is from the middle of the box, data units, at least a little."""
    centre, side = bounds(points)
    return max(float(np.linalg.norm(points - centre, axis=1).max()), 0.1 * side)


def _cloud(shape: Checked, largest: float, caption: str) -> dict[str, object]:
    """Return what the page knows of one cloud, whose box is in data units."""
    way, start, bends = _way(shape, largest)
    return {
        **_body(shape.points, shape.points, shape.colours, start=start, rest=bends),
        "caption": caption,
        "radius": round(sphere_radius(len(shape.points)), 5),
        "way": way,
        "surface": _surface(shape),
    }


def _surface(shape: Checked) -> dict[str, object] | None:
    """Return what the page knows of a surface, whose box is in data units."""
    if shape.surface is None or len(shape.surface[1]) > TRIANGLES:
        return None
    vertices, triangles = shape.surface
    wide = len(vertices) > FINE + 1
    index = triangles.astype("<u4" if wide else "<u2").tobytes()
    return {
        **_body(vertices, shape.points, vertex_colours(shape), rest=index),
        "triangles": len(triangles),
        "wide": wide,
    }


def _body(
    places: np.ndarray,
    points: np.ndarray,
    colours: np.ndarray | None,
    *,
    start: bytes = b"",
    rest: bytes,
) -> dict[str, object]:
    """Return what the points of a cloud and the vertices of a surface have in common.

    Args:
        places: (N, 3) of them, data units.
        points: (M, 3) of the cloud, which throw the shadows.
        colours: (N, 3), in [0, 1].
        start: of the way, the bytes after the places.
        rest: the bytes after all else.
    """
    low, side, steps = _in_box(places, FINE)
    own = b"" if colours is None else _bytes(colours)
    content = steps.tobytes() + start + _bytes(_light(places, points)) + own + rest
    return {
        "count": len(places),
        "low": _numbers(low),
        "side": _numbers(side),
        "coloured": colours is not None,
        "bytes": base64.b64encode(content).decode("ascii"),
    }


def _way(shape: Checked, largest: float) -> tuple[dict[str, object] | None, bytes, bytes]:
    """Return how the points came: where the boxes are, and the bytes of start and bends.

    At time t a point is at (1 - t) start + t end + bend(t), where the bend is 0 at both ends: most
    flows are nearly straight, so that one byte of a coordinate is enough for it. Boxes are around
    the middle of the cloud, in units of the largest cloud.
    """
    if shape.frames is None or len(shape.frames) < 2:
        return None, b"", b""
    centre, _ = bounds(shape.points)
    frames = (shape.frames.astype(float) - centre) / largest
    frames[-1] = (shape.points - centre) / largest
    bends = _bends(frames, sphere_radius(len(shape.points)) / 4)
    start = _in_box(frames[0], FINE)
    boxes = [_in_box(bend, COARSE) for bend in bends]
    way = {
        "start": _numbers([*start[0], *start[1]]),
        "bends": [_numbers([*low, *side]) for low, side, _ in boxes],
    }
    return way, start[2].tobytes(), b"".join(places.tobytes() for *_, places in boxes)


def _bends(frames: np.ndarray, error: float) -> np.ndarray:
    """Return the bends (K, N, 3) between the ends of a way of frames (T, N, 3).

    K + 1 is the least number of equal pieces, of those tried, between whose ends the bend may be
    taken as linear at an error below `error`.
    """
    last = len(frames) - 1
    bends = frames - _spread(frames[[0, -1]], last + 1)
    tries = [pieces for pieces in (1, 2, 4, 8) if pieces < last]
    for pieces in [*tries, min(last, PIECES)]:
        kept = _spread(bends, pieces + 1)
        if np.linalg.norm(_spread(kept, last + 1) - bends, axis=2).max() < error:
            break
    return kept[1:-1]


def _spread(frames: np.ndarray, count: int) -> np.ndarray:
    """Return `count` frames over the same time, linear between the given ones."""
    at = np.linspace(0, len(frames) - 1, count)
    before = np.minimum(at.astype(int), len(frames) - 2)
    share = (at - before)[:, None, None]
    return (1 - share) * frames[before] + share * frames[before + 1]


def _in_box(places: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the low corner (3,) and sides (3,) of the box of (N, 3), and the places in it.

    The places are unsigned integers from 0 to `steps` along each side.
    """
    low, high = places.min(axis=0).astype(float), places.max(axis=0).astype(float)
    side = high - low
    share = np.where(side > 0, (places - low) / np.where(side > 0, side, 1), 0.5)
    return low, side, np.round(steps * share).astype("<u2" if steps > COARSE else "u1")


def _bytes(shares: np.ndarray) -> bytes:
    return np.round(COARSE * shares).astype(np.uint8).tobytes()


def _numbers(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.9g}") for value in values]  # nine digits name every float32


def _light(places: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return how open (M,) in [0, 1] the surroundings of places are; 1 on an even surface.

    Args:
        places: (M, 3) on the surface that the points show.
        points: (N, 3), which throw the shadows.
    """
    centre, side = bounds(points)
    lit, blockers = (places - centre) / side, (points - centre) / side
    # a point of a surface sees half of all directions at best
    return np.clip(2 * visibility(lit, blockers, all_around(64), sphere_radius(len(points))), 0, 1)


def _script_safe(text: str) -> str:
    """Keep any `</script>` or `<!--` inside the data from ending the script element."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
