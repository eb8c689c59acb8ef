"""Clouds in an Open3D window, all in a grid or one after the other, with keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from pointgen.geometry.libraries import load_open3d
from pointgen.view.clouds import Clouds, as_shapes, check_captions
from pointgen.view.display import INSTEAD, WindowError, display
from pointgen.view.palette import Palette
from pointgen.view.scene import Scene

if TYPE_CHECKING:
    import open3d

__all__ = ["KEYS", "Place", "Window", "WindowError", "show"]

FIELD_OF_VIEW = -35.0  # degrees against Open3D's 60, so that a grid looks alike everywhere
POINT_SIZE = 3.0  # at first, pixels
BACKGROUNDS = ((1.0, 1.0, 1.0), (0.09, 0.10, 0.12), (0.6, 0.6, 0.6))
KEYS = (
    "N P next, previous shape · G all · C colours · B background · + - point size · "
    "M surfaces · arrows, space: flow time · R reset view · S screenshot · Q close"
)
# Codes of GLFW.
SPACE, EQUAL, PLUS, MINUS, KEYPAD_MINUS, KEYPAD_PLUS = 32, 61, 43, 45, 333, 334
RIGHT, LEFT = 262, 263

Place = tuple[int, int, int, int]  # left, top, width and height of a window, pixels


def show(
    clouds: Clouds,
    *,
    captions: Sequence[str] | None = None,
    colors: Palette | None = None,
    frames: int | None = None,
) -> None:
    """Open a window with the clouds and return when it is closed.

    Keys: N and P next and previous shape (beyond the last: all), G all, + and - point size, C
    colours, B background, M points or surfaces, S saves a screenshot to the working folder, Q
    closes. Where clouds bring their way from noise: left and right move the slider of flow time,
    space plays. The mouse turns, moves, zooms.

    Args:
        clouds: (S, N, 3), one cloud (N, 3), or a sequence of (N_i, 3) and `Shape`; y up.
        captions: one for each cloud, written below it.
        colors: at first; by default the colours that clouds bring, else "position".
        frames: close after so many frames; None waits for the user.

    Raises:
        ValueError: A cloud is empty or not finite, or the captions do not match the clouds.
        WindowError: There is no display, or Open3D or its system libraries are missing.
    """
    with Window(clouds, captions=captions, colors=colors) as window:
        window.run(frames)


class Window:
    """An open window; `show` for programs that press its keys or read its pixels themselves."""

    def __init__(
        self,
        clouds: Clouds,
        *,
        captions: Sequence[str] | None = None,
        colors: Palette | None = None,
        title: str = "pointgen",
        place: Place = (50, 50, 1100, 800),
    ) -> None:
        """Check the clouds and open the window; arguments and errors are those of `show`."""
        shapes = as_shapes(clouds)
        self.scene = Scene(shapes, check_captions(captions, len(shapes)), colors)
        left, top, width, height = place
        with display():
            self._open3d = _import_open3d()
            self._visualizer = self._open3d.visualization.VisualizerWithKeyCallback()
            opened = self._visualizer.create_window(title, width, height, left, top)
        if not opened:
            self._visualizer.destroy_window()
            raise WindowError(f"Open3D could not open a window on this display; {INSTEAD}")
        options = self._visualizer.get_render_option()
        options.point_size = POINT_SIZE
        options.mesh_show_back_face = True
        self._background, self._playing, self._open = 0, False, True
        self._drawn: list[open3d.geometry.PointCloud] = []
        self._seen_from = np.zeros(3)
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
        done = 0
        while done != frames and self.step():
            done += 1

    def step(self) -> bool:
        """Serve the user for one frame; return whether the window is still open."""
        self._open = self._open and self._visualizer.poll_events()
        if not self._open:
            return False
        if self._playing:
            self.scene.tick(1)
            self._playing = self.scene.time < 1
            self._refresh()
        elif self.scene.palette == "depth" and not np.allclose(self._back(), self._seen_from):
            self._refresh()
        self._visualizer.update_renderer()
        return True

    def press(self, key: str | int) -> None:
        """Do what a key does: a letter, "+", "-", " ", or a code of GLFW.

        Raises:
            ValueError: The key has no meaning here.
        """
        code = ord(key.upper()) if isinstance(key, str) else key
        if code not in self._keys():
            raise ValueError(f"key: expected one of N P G C B M S + - or space, got {key!r}")
        self._keys()[code]()

    def show(self, index: int) -> None:
        """Show one shape; -1 shows all."""
        self.scene.show(index)
        self._fill(reset_view=True)

    def pixels(self) -> np.ndarray:
        """Return what the window shows, (height, width, 3), uint8."""
        screen = self._visualizer.capture_screen_float_buffer(do_render=True)
        return np.round(255 * np.asarray(screen)).astype(np.uint8)

    @property
    def point_size(self) -> float:
        """Pixels across a point."""
        return float(self._visualizer.get_render_option().point_size)

    @property
    def camera(self) -> np.ndarray:
        """The camera's pose (4, 4), world to camera, data units."""
        return np.array(self._pinhole().extrinsic)

    @camera.setter
    def camera(self, pose: np.ndarray) -> None:
        parameters = self._pinhole()
        parameters.extrinsic = pose
        view = self._visualizer.get_view_control()
        view.convert_from_pinhole_camera_parameters(parameters, True)

    def _pinhole(self) -> Any:
        return self._visualizer.get_view_control().convert_to_pinhole_camera_parameters()

    def _back(self) -> np.ndarray:
        """Return the direction (3,) towards the camera."""
        return -self.camera[2, :3]

    def _keys(self) -> dict[int, Callable[[], None]]:
        letters = {
            "N": lambda: self.show(self.scene.shown + 1),
            "P": lambda: self.show(self.scene.shown - 1),
            "G": lambda: self.show(-1),
            "C": self._next_palette,
            "B": self._next_background,
            "M": self._toggle_surfaces,
            "S": self._screenshot,
        }
        larger, smaller = lambda: self._resize(1.25), lambda: self._resize(0.8)
        signs = dict.fromkeys((EQUAL, PLUS, KEYPAD_PLUS), larger)
        signs |= dict.fromkeys((MINUS, KEYPAD_MINUS), smaller)
        signs |= {LEFT: lambda: self._tick(-1), RIGHT: lambda: self._tick(1), SPACE: self._play}
        return {ord(letter): act for letter, act in letters.items()} | signs

    def _callback(self, code: int) -> Callable[[object], bool]:
        def act(_: object) -> bool:
            self.press(code)
            return True

        return act

    def _next_palette(self) -> None:
        self.scene.next_palette()
        self._fill(reset_view=False)

    def _next_background(self) -> None:
        self._background = (self._background + 1) % len(BACKGROUNDS)
        colour = np.array(BACKGROUNDS[self._background])
        self._visualizer.get_render_option().background_color = colour

    def _toggle_surfaces(self) -> None:
        self.scene.surfaces = not self.scene.surfaces
        self._fill(reset_view=False)

    def _tick(self, direction: int) -> None:
        self._playing = False
        self.scene.tick(direction)
        self._refresh()

    def _play(self) -> None:
        if not self._playing and self.scene.time == 1:
            self.scene.time = 0.0
        self._playing = not self._playing and self.scene.moves

    def _resize(self, factor: float) -> None:
        size = min(max(self.point_size * factor, 1.0), 25.0)
        self._visualizer.get_render_option().point_size = size

    def _screenshot(self) -> None:
        from pointgen.files import atomic

        taken = (Path(f"pointgen-view-{number:03d}.png") for number in range(1, 1_000_000))
        with atomic(next(path for path in taken if not path.exists())) as temporary:
            Image.fromarray(self.pixels()).save(temporary, format="PNG")

    def _fill(self, *, reset_view: bool) -> None:
        """Put everything into the window anew."""
        self._visualizer.clear_geometries()
        back = np.array(self.scene.front) if reset_view else self._back()
        self._drawn = [_cloud(self._open3d, *part) for part in self.scene.clouds(back)]
        surfaces = [_mesh(self._open3d, *part) for part in self.scene.meshes(back)]
        for geometry in [*self._drawn, *surfaces]:
            self._visualizer.add_geometry(geometry, reset_bounding_box=reset_view)
        self._seen_from = back
        if reset_view:
            self._visualizer.reset_view_point(True)
            view = self._visualizer.get_view_control()
            view.set_up((0.0, 1.0, 0.0))
            view.set_front(self.scene.front)
            zoom = 0.55 if self.scene.shown < 0 else 0.75
            view.set_zoom(zoom + 0.12 * self.scene.moves)  # room for the slider

    def _refresh(self) -> None:
        """Move and recolour the points that are there."""
        self._seen_from = self._back()
        parts = self.scene.clouds(self._seen_from)
        for geometry, (points, colours) in zip(self._drawn, parts, strict=True):
            _set(self._open3d, geometry, points, colours)
            self._visualizer.update_geometry(geometry)


def _cloud(
    module: ModuleType, points: np.ndarray, colours: np.ndarray
) -> open3d.geometry.PointCloud:
    cloud = module.geometry.PointCloud()
    _set(module, cloud, points, colours)
    return cloud


def _set(
    module: ModuleType,
    cloud: open3d.geometry.PointCloud,
    points: np.ndarray,
    colours: np.ndarray,
) -> None:
    cloud.points = module.utility.Vector3dVector(points.astype(float))
    cloud.colors = module.utility.Vector3dVector(colours.astype(float))


def _mesh(
    module: ModuleType, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray
) -> open3d.geometry.TriangleMesh:
    mesh = module.geometry.TriangleMesh(
        module.utility.Vector3dVector(vertices.astype(float)),
        module.utility.Vector3iVector(faces.astype(np.int32)),
    )
    mesh.vertex_colors = module.utility.Vector3dVector(colours.astype(float))
    mesh.compute_vertex_normals()
    return mesh


def _import_open3d() -> ModuleType:
    try:
        return load_open3d()
    except ImportError as error:
        raise WindowError(f"{error}; {INSTEAD}") from error
