"""Write a surface of triangles; the ending of the path picks the format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pointgen.files.atomic import atomic
from pointgen.files.attributes import checked
from pointgen.files.cloud import to_float32
from pointgen.files.encode_ply import ply_bytes
from pointgen.files.errors import expect, writing
from pointgen.files.surface import Surface
from pointgen.files.targets import check_folder, check_free, ending_of

__all__ = ["check_mesh_target", "is_mesh_target", "mesh_carried", "write_mesh"]

DOUBLES = (".obj", ".off")  # text: every digit finds its place


def is_mesh_target(path: Path) -> bool:
    """Return whether the ending of a path is that of a format that `write_mesh` writes."""
    return path.suffix.lower() in MESH_TARGETS


def mesh_carried(path: Path) -> tuple[str, ...]:
    """Return what of normals and colours `write_mesh` writes to a path."""
    return {".stl": (), ".off": ("colours",)}.get(path.suffix.lower(), ("normals", "colours"))


def check_mesh_target(path: Path, *, force: bool = False) -> None:
    """Refuse what `write_mesh` could not write to, so that nothing is computed in vain.

    Raises:
        FileError: The ending is none of a mesh format, the folder cannot be made or written to,
            or the file exists already.
    """
    path = Path(path)
    with writing(path):
        ending = ending_of(path, MESH_TARGETS)
        check_free([path], force)
        expect(
            ending in MESH_TARGETS,
            path,
            f"expected the ending {', '.join(MESH_TARGETS)}, got {ending!r}",
        )
        check_folder(path, path.parent)


def write_mesh(
    path: Path,
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    normals: np.ndarray | None = None,
    colours: np.ndarray | None = None,
    force: bool = False,
) -> Path:
    """Write one mesh and return its path.

    Args:
        path: `*.ply`, `*.obj`, `*.glb`, `*.stl`, `*.off`. Vertices are float32 but in obj and off,
            which keep every digit.
        vertices: (V, 3), data units.
        faces: (F, 3) int, indices of vertices, counter-clockwise seen from outside.
        normals: (V, 3), of each vertex; stl and off have no place for them and leave them out.
        colours: (V, 3) uint8, of each vertex; stl has no place for them and leaves them out.
        force: Overwrite a file of this name.

    Raises:
        FileError: The file exists already or cannot be written, or the arrays are no mesh.
    """
    path = Path(path)
    check_mesh_target(path, force=force)
    ending = path.suffix.lower()
    surface = _checked(path, Surface(np.asarray(vertices), np.asarray(faces), normals, colours))
    with atomic(path) as temporary:
        temporary.write_bytes(MESH_TARGETS[ending](surface))
    return path


def _checked(path: Path, surface: Surface) -> Surface:
    vertices, faces = surface.vertices, surface.faces
    expect(
        vertices.ndim == 2
        and vertices.shape[1] == 3
        and len(vertices) > 0
        and vertices.dtype.kind in "fiu",
        path,
        f"expected vertices of shape (V, 3) to write, got {vertices.shape} {vertices.dtype}",
    )
    expect(
        faces.ndim == 2 and faces.shape[1] == 3 and len(faces) > 0 and faces.dtype.kind in "iu",
        path,
        f"expected faces of shape (F, 3) to write, got {faces.shape} {faces.dtype}",
    )
    expect(
        bool(faces.min() >= 0 and faces.max() < len(vertices)),
        path,
        f"a face has vertex {faces.max()} or {faces.min()}, of {len(vertices)}",
    )
    if path.suffix.lower() not in DOUBLES:
        vertices = to_float32(path, vertices)
    expect(bool(np.isfinite(vertices).all()), path, "expected finite vertices to write")
    normals, colours = surface.normals, surface.colours
    if normals is not None:
        normals = checked(path, "normals", np.asarray(normals), len(vertices))
    if colours is not None:
        colours = checked(path, "colours", np.asarray(colours), len(vertices))
    return Surface(vertices, faces, normals, colours)


def _ply(surface: Surface) -> bytes:
    return ply_bytes(
        surface.vertices, normals=surface.normals, colours=surface.colours, faces=surface.faces
    )


def _glb(surface: Surface) -> bytes:
    return _exported(surface, "glb")


def _stl(surface: Surface) -> bytes:
    return _exported(Surface(surface.vertices, surface.faces), "stl")


def _exported(surface: Surface, kind: str) -> bytes:
    import trimesh

    mesh = trimesh.Trimesh(
        surface.vertices,
        surface.faces,
        vertex_normals=surface.normals,
        vertex_colors=surface.colours,
        process=False,
    )
    data = mesh.export(file_type=kind)
    assert isinstance(data, bytes)
    return data


def _obj(surface: Surface) -> bytes:
    """Return the text; trimesh rounds to eight decimals, whatever the size of the shape."""
    rows = _numbers(surface.vertices)
    if surface.colours is not None:
        rows = [f"{row} {colour}" for row, colour in zip(rows, _shares(surface), strict=True)]
    lines = [f"v {row}" for row in rows]
    corner = "{0}"
    if surface.normals is not None:
        lines += [f"vn {row}" for row in _numbers(surface.normals)]
        corner = "{0}//{0}"
    lines += ["f " + " ".join(map(corner.format, face)) for face in (surface.faces + 1).tolist()]
    return ("\n".join(lines) + "\n").encode("ascii")


def _off(surface: Surface) -> bytes:
    """Return the text; trimesh rounds to ten decimals and leaves colours out."""
    rows, kind = _numbers(surface.vertices), "OFF"
    if surface.colours is not None:
        kind = "COFF"
        colours = [" ".join(map(str, c)) for c in surface.colours.tolist()]
        rows = [f"{row} {colour} 255" for row, colour in zip(rows, colours, strict=True)]
    faces = ["3 " + " ".join(map(str, face)) for face in surface.faces.tolist()]
    counts = f"{len(rows)} {len(faces)} 0"
    return ("\n".join([kind, counts, *rows, *faces]) + "\n").encode("ascii")


def _shares(surface: Surface) -> list[str]:
    """Return the colours as OBJ has them, in [0, 1]; five digits name each of the 256."""
    assert surface.colours is not None
    return [" ".join(f"{c / 255:.5g}" for c in row) for row in surface.colours.tolist()]


def _numbers(array: np.ndarray) -> list[str]:
    """Return a line of each row, with the fewest digits that name its numbers."""
    single = array.astype(np.float32)
    digits = 9 if np.array_equal(single, array) else 17
    return [" ".join(f"{value:.{digits}g}" for value in row) for row in array.tolist()]


MESH_TARGETS: dict[str, Callable[[Surface], bytes]] = {
    ".ply": _ply,
    ".obj": _obj,
    ".glb": _glb,
    ".stl": _stl,
    ".off": _off,
}
