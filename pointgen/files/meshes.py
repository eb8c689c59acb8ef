"""Read a surface: one mesh of positive area, whatever the file holds."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pointgen.files.attributes import usable
from pointgen.files.errors import check_regular, expect, library, reading
from pointgen.files.gltf import check_gltf, gltf_scene, have_attribute
from pointgen.files.obj import read_obj
from pointgen.files.off import check_off, off_colours, off_faces
from pointgen.files.ply import has_faces, read_ply, scalars
from pointgen.files.raw import Raw, by_name
from pointgen.files.stl import stl_bytes, stl_facets
from pointgen.files.surface import Surface

if TYPE_CHECKING:
    import trimesh

__all__ = ["MESH_SUFFIXES", "is_mesh", "read_mesh", "read_surface"]

MESH_SUFFIXES = (".ply", ".obj", ".off", ".stl", ".glb", ".gltf")


def is_mesh(path: Path) -> bool:
    """Return whether a file is of a mesh format; a ply file is a mesh if it announces faces.

    Raises:
        FileError: A ply file that cannot be read or has no header.
    """
    path = Path(path)
    if path.suffix.lower() != ".ply" or path.is_dir():
        return path.suffix.lower() in MESH_SUFFIXES and not path.is_dir()
    check_regular(path)
    with reading(path):
        return has_faces(path)


def read_mesh(path: Path) -> trimesh.Trimesh:
    """Return the mesh of `read_surface` as one of trimesh, with its normals and colours.

    Raises:
        FileError: As in `read_surface`.
    """
    import trimesh

    surface = read_surface(path)
    return trimesh.Trimesh(
        surface.vertices,
        surface.faces,
        vertex_normals=surface.normals,
        vertex_colors=surface.colours,
        process=False,
    )


def read_surface(path: Path) -> Surface:
    """Return the surface of an obj, off, stl, glb, gltf or ply file, in the file's units.

    Scenes become one mesh with every transform applied; polygons become fans of triangles.
    Colours and normals of vertices come along (of off only colours, of stl none; normals not where
    the faces at a vertex differ in it). Materials and textures are not read; no other file is
    opened but the buffers of a gltf file, and those from its own folder only.

    Raises:
        FileError: No faces, no area, coordinates that are not finite, or a file that is damaged.
    """
    path = Path(path)
    check_regular(path)
    ending = path.suffix.lower()
    known = ", ".join(MESH_SUFFIXES)
    expect(ending in MESH_SUFFIXES, path, f"expected a mesh ({known}), got {ending!r}")
    with reading(path):
        raw, faces = {".obj": _obj, ".ply": _ply}.get(ending, _trimesh)(path)
    _check_surface(path, raw.points, faces)
    found, left_out = usable(raw, raw.points.shape[:1])
    return Surface(raw.points, faces, found["normals"], found["colours"], left_out)


def _obj(path: Path) -> tuple[Raw, np.ndarray]:
    obj = read_obj(path)
    vertices, faces = _surface(path, obj.places, obj.polygons)
    normals = obj.vertex_normals()
    if normals is None or np.isfinite(normals).all():
        return Raw(vertices, normals=normals, colours=obj.colours), faces
    left_out = ("normals, which are missing or differ where faces meet",)
    return Raw(vertices, colours=obj.colours, left_out=left_out), faces


def _ply(path: Path) -> tuple[Raw, np.ndarray]:
    elements = read_ply(path)
    expect("tristrips" not in elements, path, "holds triangle strips: export plain faces")
    raw, face = by_name(path, scalars(elements.get("vertex", {}))), elements.get("face", {})
    polygons = face.get("vertex_indices", face.get("vertex_index", []))
    vertices, faces = _surface(path, raw.points, polygons)
    return replace(raw, points=vertices), faces


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
    with library(path, "faces"):  # numbers of any length
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


def _trimesh(path: Path) -> tuple[Raw, np.ndarray]:
    import trimesh

    ending = path.suffix.lower()
    is_gltf = ending in (".glb", ".gltf")
    if ending == ".off":
        check_off(path)
    if is_gltf:
        check_gltf(path)
    data = stl_bytes(path) if ending == ".stl" else path.read_bytes()
    with _quiet(), library(path, ending[1:]):
        if is_gltf:
            scene = gltf_scene(path, BytesIO(data))
        else:
            scene = trimesh.load_scene(BytesIO(data), file_type=ending[1:], process=False)
    with library(path, ending[1:]):
        mesh = scene.to_mesh()
    announced = 0
    if ending == ".off":
        with library(path, "off"):
            announced = off_faces(path)
    if ending == ".stl":
        announced = stl_facets(data)
    expect(
        len(mesh.faces) >= announced,
        path,
        f"is truncated: announces {announced} faces, got {len(mesh.faces)}",
    )
    raw = Raw(np.array(mesh.vertices, np.float64))
    if ending == ".off":
        raw = replace(raw, colours=off_colours(path))
    if is_gltf:
        raw = _with_attributes(path, raw, scene)
    return raw, np.array(mesh.faces, np.int64)


def _with_attributes(path: Path, raw: Raw, scene: trimesh.Scene) -> Raw:
    """Add what every part of a glTF scene has, for trimesh makes up what a part lacks."""
    found: dict[str, np.ndarray] = {}
    partly: list[str] = []
    for name, key, of in (("normals", "NORMAL", _normals), ("colours", "COLOR_0", _colours)):
        having = have_attribute(path, key)
        if having and all(having):
            with library(path, "glTF"):
                found[name] = of(scene)
        elif any(having):
            partly.append(f"{name}, which only {sum(having)} of {len(having)} parts have")
    return replace(
        raw,
        normals=found.get("normals"),
        colours=found.get("colours"),
        left_out=tuple(partly),
    )


def _normals(scene: trimesh.Scene) -> np.ndarray:
    """Return the normals of all vertices, turned with their parts; `to_mesh` forgets them."""
    import trimesh

    rows = []
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        part = scene.geometry[name]
        if not isinstance(part, trimesh.Trimesh):  # lines or points, which `to_mesh` leaves out
            continue
        part = part.copy(include_cache=True)
        part.apply_transform(transform)
        rows.append(part.vertex_normals)
    return np.concatenate(rows)


def _colours(scene: trimesh.Scene) -> np.ndarray:
    return scene.to_mesh().visual.vertex_colors


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


def _check_surface(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    expect(len(faces) > 0, path, "expected a mesh, got no faces")
    bad = int((~np.isfinite(vertices)).any(axis=-1).sum())
    expect(bad == 0, path, f"{bad} of {len(vertices)} vertices are not finite (NaN or inf)")
    expect(
        faces.min() >= 0 and faces.max() < len(vertices),
        path,
        f"a face has vertex {faces.max()}, of {len(vertices)}",
    )
    with np.errstate(over="ignore", invalid="ignore"):
        a, b, c = (vertices[faces[:, corner]] for corner in range(3))
        area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
    expect(0 < area < np.inf, path, f"expected a surface, got the area {area:g}")
