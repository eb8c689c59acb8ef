"""What a window shows, as points and triangles: which shapes, in which colours, at which time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointgen.view.clouds import Checked, at_time, bounds, grid_shape, vertex_colours
from pointgen.view.label import label
from pointgen.view.palette import PALETTES, Palette, colour, colours_of

__all__ = ["Scene"]

SPACING = 1.35  # between the middles of neighbours in the grid, in sides of the largest box
FRONT_OF_GRID, FRONT_OF_ONE = (0.2, 0.25, 1.0), (1.0, 0.8, 1.0)  # towards the camera
GREY, STRONG = (0.45, 0.47, 0.52), (0.22, 0.40, 0.78)
SLIDER = 160  # points of the slider's line
TICK = 0.05  # of flow time, that a key moves

Part = tuple[np.ndarray, np.ndarray]


class Scene:
    """Shapes in a grid, or one of them.

    Attributes:
        shapes: all there are.
        shown: which shape; -1 is the grid of all.
        palette: of the points; None is the shapes' own colours.
        time: of the flow, 1 at its end.
        surfaces: whether shapes that bring a surface are drawn as that.
    """

    def __init__(
        self,
        shapes: Sequence[Checked],
        captions: Sequence[str],
        palette: Palette | None = None,
    ) -> None:
        """Start with all shapes as they are in the end; None: in their own colours, if any."""
        self.shapes = list(shapes)
        self.shown = 0 if len(shapes) == 1 else -1
        self.time = 1.0
        self.surfaces = any(shape.surface is not None for shape in shapes)
        self._own = [vertex_colours(shape) for shape in shapes]
        self._captions = list(captions)
        self._palettes: list[Palette | None] = list(PALETTES)
        if any(shape.colours is not None for shape in shapes):
            self._palettes.insert(0, None)
        self.palette = palette or self._palettes[0]

    @property
    def front(self) -> tuple[float, float, float]:
        """Where one looks from at first."""
        return FRONT_OF_GRID if self.shown < 0 else FRONT_OF_ONE

    @property
    def moves(self) -> bool:
        """Whether a shape brings its way from noise."""
        return any(shape.frames is not None for shape in self.shapes)

    def show(self, index: int) -> None:
        """Show one shape, counted around, in which -1 stands for all."""
        count = len(self.shapes)
        self.shown = 0 if count == 1 else (index + 1) % (count + 1) - 1  # -1, 0, ..., count - 1

    def next_palette(self) -> None:
        """Take the next colours."""
        place = (self._palettes.index(self.palette) + 1) % len(self._palettes)
        self.palette = self._palettes[place]

    def tick(self, direction: int) -> None:
        """Go on, or back, in flow time by one step."""
        self.time = round(min(max(self.time + direction * TICK, 0.0), 1.0), 6)

    def clouds(self, back: np.ndarray) -> list[Part]:
        """Return points (K, 3) and colours (K, 3) of what is drawn as points.

        Args:
            back: (3,) direction towards the camera, for colours by depth.
        """
        parts: list[Part] = []
        for index, place in self._placed():
            shape = self.shapes[index]
            if not self._as_surface(shape):
                colours = colours_of(shape, self.palette, back)
                parts.append((self._at(index) + place, colours))
            if len(text := self._caption(index)):
                parts.append((text + place, np.broadcast_to(GREY, text.shape)))
        if self.moves:
            parts += self._slider()
        return parts

    def meshes(self, back: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Return vertices (V, 3), triangles (F, 3) and colours (V, 3) of what is drawn so."""
        found = []
        for index, place in self._placed():
            surface = self.shapes[index].surface
            if surface is not None and self.surfaces:
                vertices, faces = surface
                own = self._own[index] if self.palette is None else None
                colours = colour(vertices, self.palette or "plain", back) if own is None else own
                found.append((vertices - self._centre(index) + place, faces, colours))
        return found

    def _as_surface(self, shape: Checked) -> bool:
        return self.surfaces and shape.surface is not None

    def _placed(self) -> list[tuple[int, np.ndarray]]:
        """Return the shapes that are shown, and the middles (3,) of their cells, data units."""
        chosen = range(len(self.shapes)) if self.shown < 0 else [self.shown]
        _, columns = grid_shape(len(chosen))
        step = SPACING * self._side()
        cells = (divmod(number, columns) for number in range(len(chosen)))
        return [
            (index, step * np.array([column, -row, 0.0]))
            for index, (row, column) in zip(chosen, cells, strict=True)
        ]

    def _centre(self, index: int) -> np.ndarray:
        return bounds(self.shapes[index].points)[0]

    def _at(self, index: int) -> np.ndarray:
        """Return the points of a shape at the time, about the origin."""
        return at_time(self.shapes[index], self.time) - self._centre(index)

    def _caption(self, index: int) -> np.ndarray:
        side = self._side()
        text = label(self._captions[index], 0.9 * side)
        if not len(text):
            return text
        centred = self.shapes[index].points - self._centre(index)
        gap = np.array([0, 0.05 * side, 0])
        return _facing(text, self.front) + _foot(centred, self.front) - gap

    def _side(self) -> float:
        chosen = self.shapes if self.shown < 0 else [self.shapes[self.shown]]
        return max(bounds(shape.points)[1] for shape in chosen)

    def _slider(self) -> list[Part]:
        """Return a line under all that is shown, and the mark of the time on it."""
        places = np.array([place for _, place in self._placed()])
        side = self._side()
        low, high = places.min(axis=0), places.max(axis=0)
        width = high[0] - low[0] + side
        share = np.linspace(-0.5, 0.5, SLIDER)
        line = width * np.stack([share, 0 * share, 0 * share], axis=1)
        angle = np.linspace(0, 2 * np.pi, 60)
        ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
        mark = np.concatenate([size * 0.035 * side * ring for size in (1, 0.75, 0.5, 0.25)])
        mark[:, 0] += width * (self.time - 0.5)
        foot = np.array([(low[0] + high[0]) / 2, low[1] - 0.95 * side, 0.0])
        if self.shown >= 0:
            centred = self.shapes[self.shown].points - self._centre(self.shown)
            foot = _foot(centred, self.front) - (0, 0.25 * side, 0)
        return [
            (_facing(part, self.front) + foot, np.broadcast_to(shade, part.shape))
            for part, shade in ((line, GREY), (mark, STRONG))
        ]


def _facing(points: np.ndarray, front: tuple[float, float, float]) -> np.ndarray:
    """Turn points (K, 3) of the plane z = 0 around y until the plane faces `front`."""
    right = np.array([front[2], 0.0, -front[0]]) / np.hypot(front[0], front[2])
    return points[:, [0]] * right + points * (0, 1, 0)


def _foot(points: np.ndarray, front: tuple[float, float, float]) -> np.ndarray:
    """Return the place (3,) below and before all points, as one sees them from `front`."""
    back = np.array(front) / np.linalg.norm(front)
    up = np.array([0.0, 1.0, 0.0]) - back[1] * back
    return (points @ back).max() * back + (0, (points @ up).min() / up[1], 0)
