"""Clouds in an Open3D window, all in a grid or one after the other, with keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from PIL import Image

from pointgen.view.clouds import Clouds, as_shapes, bounds, check_captions, grid_shape
from pointgen.view.display import INSTEAD, WindowError, display
from pointgen.view.label import label
from pointgen.view.palette import PALETTES, Palette, colour

if TYPE_CHECKING:
    import open3d

__all__ = ["Window", "WindowError", "show"]

PACKAGES = "libusb-1.0-0 libgl1 libegl1 libgomp1"
SPACING = 1.35  # between the middles of neighbours in the grid, in sides of the largest box
FRONT_OF_GRID, FRONT_OF_ONE = (0.2, 0.25, 1.0), (1.0, 0.8, 1.0)  # towards the camera
FIELD_OF_VIEW = -35.0  # degrees against Open3D's 60, so that a grid looks alike everywhere
GREY = (0.35, 0.37, 0.42)
EQUAL, PLUS, MINUS, KEYPAD_MINUS, KEYPAD_PLUS = 61, 43, 45, 333, 334  # codes of GLFW


def show(
    clouds: Clouds,
    *,
    captions: Sequence[str] | None = None,
    point_size: float = 3.0,
    frames: int | None = None,
) -> None:
    """Open a window with the clouds and return when it is closed.

    Keys: N and P next and previous shape (beyond the last: all), G all, + and - point size, C
    colours, S saves a screenshot to the working folder, Q closes. The mouse turns, moves, zooms.

    Args:
        clouds: (S, N, 3), one cloud (N, 3), or a sequence of (N_i, 3); y up.
        captions: one for each cloud, written below it.
        point_size: pixels.
        frames: close after so many frames; None waits for the user.

    Raises:
        ValueError: A cloud is empty or not finite, or the captions do not match the clouds.
        WindowError: There is no display, or Open3D or its system libraries are missing.
    """
    with Window(clouds, captions=captions, point_size=point_size) as window:
        window.run(frames)


class Window:
    """An open window; `show` for programs that press its keys or read its pixels themselves."""

    def __init__(
        self,
        clouds: Clouds,
        *,
        captions: Sequence[str] | None = None,
        point_size: float = 3.0,
    ) -> None:
        """Check the clouds and open the window; arguments and errors are those of `show`."""
        self.clouds = [shape.points for shape in as_shapes(clouds)]
        self.captions = check_captions(captions, len(self.clouds))
        self.shown = 0 if len(self.clouds) == 1 else -1  # which cloud; -1 is the grid of all
        self.palette: Palette = "position"
        with display():
            self._open3d = _import_open3d()
            self._visualizer = self._open3d.visualization.VisualizerWithKeyCallback()
            opened = self._visualizer.create_window("pointgen", 1100, 800)
        if not opened:
            self._visualizer.destroy_window()
            raise WindowError(f"Open3D could not open a window on this display; {INSTEAD}")
        self._visualizer.get_render_option().point_size = float(point_size)
        for code in self._keys():
            self._visualizer.register_key_callback(code, self._callback(code))
        self._visualizer.get_view_control().change_field_of_view(FIELD_OF_VIEW / 5)
        self._fill(reset_view=True)

    def __enter__(self) -> Self:
        """Return the window."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the window."""
        self._visualizer.destroy_window()

    def run(self, frames: int | None = None) -> None:
        """Serve the user until the window is closed, or for a number of frames."""
        if frames is None:
            self._visualizer.run()
            return
        for _ in range(frames):
            if not self._visualizer.poll_events():
                return
            self._visualizer.update_renderer()

    def press(self, key: str | int) -> None:
        """Do what a key does: a letter, "+", "-", or a code of GLFW.

        Raises:
            ValueError: The key has no meaning here.
        """
        code = ord(key.upper()) if isinstance(key, str) else key
        if code not in self._keys():
            raise ValueError(f"key: expected one of N P G C S + -, got {key!r}")
        self._keys()[code]()

    def pixels(self) -> np.ndarray:
        """Return what the window shows, (height, width, 3), uint8."""
        screen = self._visualizer.capture_screen_float_buffer(do_render=True)
        return np.round(255 * np.asarray(screen)).astype(np.uint8)

    @property
    def point_size(self) -> float:
        """Pixels across a point."""
        return float(self._visualizer.get_render_option().point_size)

    def _keys(self) -> dict[int, Callable[[], None]]:
        letters = {
            "N": lambda: self._show(self.shown + 1),
            "P": lambda: self._show(self.shown - 1),
            "G": lambda: self._show(-1),
            "C": self._next_palette,
            "S": self._screenshot,
        }
        larger, smaller = lambda: self._resize(1.25), lambda: self._resize(0.8)
        signs = dict.fromkeys((EQUAL, PLUS, KEYPAD_PLUS), larger)
        signs |= dict.fromkeys((MINUS, KEYPAD_MINUS), smaller)
        return {ord(letter): act for letter, act in letters.items()} | signs

    def _callback(self, code: int) -> Callable[[object], bool]:
        def act(_: object) -> bool:
            self.press(code)
            return True

        return act

    def _show(self, index: int) -> None:
        count = len(self.clouds)
        self.shown = 0 if count == 1 else (index + 1) % (count + 1) - 1  # -1, 0, ..., count - 1
        self._fill(reset_view=True)

    def _next_palette(self) -> None:
        names = list(PALETTES)
        self.palette = names[(names.index(self.palette) + 1) % len(names)]
        self._fill(reset_view=False)

    def _resize(self, factor: float) -> None:
        size = min(max(self.point_size * factor, 1.0), 25.0)
        self._visualizer.get_render_option().point_size = size

    def _screenshot(self) -> None:
        from pointgen.files import atomic

        taken = (Path(f"pointgen-view-{number:03d}.png") for number in range(1, 1_000_000))
        with atomic(next(path for path in taken if not path.exists())) as temporary:
            Image.fromarray(self.pixels()).save(temporary, format="PNG")

    def _fill(self, *, reset_view: bool) -> None:
        self._visualizer.clear_geometries()
        chosen = range(len(self.clouds)) if self.shown < 0 else [self.shown]
        for place, index in zip(self._places(len(chosen)), chosen, strict=True):
            for points, colours in self._parts(index):
                cloud = _geometry(self._open3d, points + place, colours)
                self._visualizer.add_geometry(cloud, reset_bounding_box=reset_view)
        if reset_view:
            self._visualizer.reset_view_point(True)
            view = self._visualizer.get_view_control()
            view.set_up((0.0, 1.0, 0.0))
            view.set_front(self._front())
            view.set_zoom(0.55 if self.shown < 0 else 0.75)

    def _front(self) -> tuple[float, float, float]:
        return FRONT_OF_GRID if self.shown < 0 else FRONT_OF_ONE

    def _places(self, count: int) -> np.ndarray:
        """Return the middles (count, 3) of the cells, rows from the top, data units."""
        _, columns = grid_shape(count)
        row, column = np.divmod(np.arange(count), columns)
        return SPACING * self._side() * np.stack([column, -row, np.zeros(count)], axis=1)

    def _parts(self, index: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return points and colours of one cloud about the origin, and of its caption."""
        points = self.clouds[index]
        centred = points - bounds(points)[0]
        parts = [(centred, colour(points, self.palette))]
        side = self._side()
        text = label(self.captions[index], 0.9 * side)
        if len(text):
            gap = np.array([0, 0.05 * side, 0])
            place = _facing(text, self._front()) + _foot(centred, self._front()) - gap
            parts.append((place, np.broadcast_to(GREY, text.shape)))
        return parts

    def _side(self) -> float:
        chosen = self.clouds if self.shown < 0 else [self.clouds[self.shown]]
        return max(bounds(points)[1] for points in chosen)


def _facing(points: np.ndarray, front: tuple[float, float, float]) -> np.ndarray:
    """Turn points (K, 3) of the plane z = 0 around y until the plane faces `front`."""
    right = np.array([front[2], 0.0, -front[0]]) / np.hypot(front[0], front[2])
    return points[:, [0]] * right + points * (0, 1, 0)


def _foot(points: np.ndarray, front: tuple[float, float, float]) -> np.ndarray:
    """Return the place (3,) below and before all points, as one sees them from `front`."""
    back = np.array(front) / np.linalg.norm(front)
    up = np.array([0.0, 1.0, 0.0]) - back[1] * back
    return (points @ back).max() * back + (0, (points @ up).min() / up[1], 0)


def _geometry(
    module: ModuleType, points: np.ndarray, colours: np.ndarray
) -> open3d.geometry.PointCloud:
    cloud = module.geometry.PointCloud()
    cloud.points = module.utility.Vector3dVector(points.astype(float))
    cloud.colors = module.utility.Vector3dVector(colours.astype(float))
    return cloud


def _import_open3d() -> ModuleType:
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise WindowError(
            f"Open3D does not load ({error}); on Debian and Ubuntu it needs the packages "
            f"{PACKAGES}; {INSTEAD}"
        ) from error
    return open3d
