"""Read a surface: one mesh of positive area, whatever the file holds."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pointgen.files.errors import FileError, check_regular, expect, library
from pointgen.files.gltf import check_gltf
from pointgen.files.obj import read_obj
from pointgen.files.ply import has_faces, read_ply

if TYPE_CHECKING:
    import trimesh

__all__ = ["is_mesh", "read_mesh"]

ENDINGS = (".obj", ".off", ".stl", ".glb", ".gltf", ".ply")


def is_mesh(path: Path) -> bool:
    """Return whether a file is of a mesh format; a ply file is a mesh if it announces faces.

    Raises:
        FileError: A ply file without a readable header.
    """
    path = Path(path)
    if path.suffix.lower() != ".ply" or path.is_dir():
        return path.suffix.lower() in ENDINGS and not path.is_dir()
    check_regular(path)
    return has_faces(path)


def read_mesh(path: Path) -> trimesh.Trimesh:
    """Return the surface of an obj, off, stl, glb, gltf or ply file, in the file's units.

    Scenes become one mesh with every transform applied; polygons become fans of triangles.
    Materials and textures are not read; no other file is opened but the buffers of a gltf file,
    and those from its own folder only.

    Raises:
        FileError: No faces, no area, coordinates that are not finite, or a file that is damaged.
    """
    import trimesh

    path = Path(path)
    check_regular(path)
    ending = path.suffix.lower()
    expect(ending in ENDINGS, path, f"expected a mesh ({', '.join(ENDINGS)}), got {ending!r}")
    if ending == ".obj":
        mesh = trimesh.Trimesh(*_surface(path, *read_obj(path)), process=False)
    elif ending == ".ply":
        mesh = trimesh.Trimesh(*_ply(path), process=False)
    else:
        mesh = _trimesh(path, ending)
    _check_surface(path, mesh)
    return mesh


def _ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    elements = read_ply(path)
    expect("tristrips" not in elements, path, "holds triangle strips: export plain faces")
    vertex, face = elements.get("vertex", {}), elements.get("face", {})
    expect({"x", "y", "z"} <= vertex.keys(), path, "expected vertices with x, y, z")
    polygons = face.get("vertex_indices", face.get("vertex_index", []))
    return _surface(path, np.stack([np.asarray(vertex[axis]) for axis in "xyz"], -1), polygons)


def _surface(
    path: Path, vertices: np.ndarray, polygons: Iterable[Sequence[int] | np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3) and triangles (F, 3), each polygon a fan about its first corner."""
    by_length: dict[int, list] = {}
    for polygon in polygons:
        by_length.setdefault(len(polygon), []).append(polygon)
    # Fewer than three corners bound no area: such faces are met in the field and carry nothing.
    fans = [_fans(np.array(group)) for length, group in by_length.items() if length > 2]
    expect(bool(fans), path, f"expected a mesh, got {len(vertices)} vertices and no faces")
    corners = np.concatenate(fans)
    triangles = corners.astype(np.int64)
    expect(
        bool(np.all(triangles == corners) and triangles.min() >= 0)
        and int(triangles.max()) < len(vertices),
        path,
        f"a face has vertex {corners.max():.0f} or {corners.min():.0f}, of {len(vertices)}",
    )
    return vertices.astype(np.float64), triangles


def _fans(polygons: np.ndarray) -> np.ndarray:
    """Return the triangles (F * (n - 2), 3) of polygons (F, n)."""
    first = np.broadcast_to(polygons[:, :1], polygons[:, 2:].shape)
    return np.stack([first, polygons[:, 1:-1], polygons[:, 2:]], axis=-1).reshape(-1, 3)


def _trimesh(path: Path, ending: str) -> trimesh.Trimesh:
    import trimesh

    resolver = None
    if ending == ".off":
        _check_off(path)
    if ending in (".glb", ".gltf"):
        check_gltf(path)
        resolver = trimesh.resolvers.FilePathResolver(str(path))
    with path.open("rb") as handle, _quiet(), library(path, ending[1:]):
        scene = trimesh.load_scene(
            handle, file_type=ending[1:], resolver=resolver, process=False, skip_materials=True
        )
    with library(path, ending[1:]):
        mesh = scene.to_mesh()
    with library(path, ending[1:]):
        announced = {".off": _off_faces, ".stl": _stl_faces}.get(ending, _no_count)(path)
    expect(
        len(mesh.faces) >= announced,
        path,
        f"is truncated: announces {announced} faces, got {len(mesh.faces)}",
    )
    return mesh


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep trimesh from logging tracebacks of its own: a reader's errors are its exceptions."""
    logger = logging.getLogger("trimesh")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _check_off(path: Path) -> None:
    """Refuse an OFF file that ends before its vertices do."""
    with library(path, "off"):
        vertices, faces, numbers = _off_counts(path)
    expect(
        numbers >= 3 * vertices,
        path,
        f"is truncated: announces {vertices} vertices and {faces} faces, then has {numbers} "
        "numbers",
    )


def _off_counts(path: Path) -> tuple[int, int, int]:
    """Return the announced vertices and faces (first line with two numbers), and words after it."""
    lines = iter(path.read_text(encoding="latin-1").splitlines())
    for line in lines:
        words = line.split("#")[0].strip().upper().removeprefix("C").removeprefix("OFF").split()
        if len(words) > 1:
            left = sum(len(line.split("#")[0].split()) for line in lines)
            return int(words[0]), int(words[1]), left
    raise FileError(path, "OFF file without its counts")


def _off_faces(path: Path) -> int:
    return _off_counts(path)[1]


def _stl_faces(path: Path) -> int:
    """Return the number of facets opened in an ascii file; trimesh drops an unfinished solid."""
    data = path.read_bytes()
    binary = len(data) == 84 + 50 * int.from_bytes(data[80:84], "little")
    return 0 if binary else data.lower().count(b"outer loop")


def _no_count(path: Path) -> int:
    return 0


def _check_surface(path: Path, mesh: trimesh.Trimesh) -> None:
    expect(len(mesh.faces) > 0, path, "expected a mesh, got no faces")
    bad = int((~np.isfinite(mesh.vertices)).any(axis=-1).sum())
    expect(bad == 0, path, f"{bad} of {len(mesh.vertices)} vertices are not finite (NaN or inf)")
    expect(
        mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices),
        path,
        f"a face has vertex {mesh.faces.max()}, of {len(mesh.vertices)}",
    )
    with np.errstate(over="ignore", invalid="ignore"):
        area = float(mesh.area)
    expect(0 < area < np.inf, path, f"expected a surface, got the area {area:g}")
