"""glTF and GLB: what must hold of the description before trimesh may read the geometry."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from pointgen.files.errors import FileError, expect, library, plausible

if TYPE_CHECKING:
    import trimesh

__all__ = ["check_gltf", "gltf_scene", "have_attribute"]

# Extensions that change how a surface looks, and not where it is.
LOOKS = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "KHR_lights_", "MSFT_texture_")
TRIANGLES = (4, 5)  # the modes of single triangles, which is the default, and of strips
VALUE_BYTES = 16  # of an accessor's row, a mean: an index has 2, a position 12, a matrix 64
MAX_CORNERS = 5 * 10**7  # of all instances together; a page of JSON could ask for any number


def check_gltf(path: Path) -> None:
    """Refuse what trimesh would read as something else, from elsewhere, or without end.

    Raises:
        FileError: An extension that moves points (Draco and other compression), positions
            without data, files outside the folder, nodes that form no tree, endless instances.
    """
    with library(path, "glTF"):
        tree = json.loads(_description(path))
    expect(isinstance(tree, dict), path, "expected a glTF description")
    with library(path, "glTF"):
        _check_extensions(path, tree)
        _check_sizes(path, tree, _outside(path, tree))
        _check_accessors(path, tree)
        _check_nodes(path, tree)


def gltf_scene(path: Path, handle: IO[bytes]) -> trimesh.Scene:
    """Return the scene of an open and checked file, without its materials.

    Colours of 16 bits become bytes on the way: trimesh keeps the low byte of each.
    """
    import trimesh
    from trimesh.exchange.gltf import load_glb, load_gltf

    load = load_glb if path.suffix.lower() == ".glb" else load_gltf
    resolver = trimesh.resolvers.FilePathResolver(str(path))
    parsed = load(handle, resolver=resolver, skip_materials=True)
    for part in parsed["geometry"].values():
        colours = part.get("vertex_colors")
        if colours is not None and colours.dtype.itemsize == 2:
            part["vertex_colors"] = np.round(colours / 257).astype(np.uint8)  # 65535 is 255
    return trimesh.load_scene(parsed)


def have_attribute(path: Path, name: str) -> list[bool]:
    """Return whether each part of a checked file that has triangles has an attribute."""
    with library(path, "glTF"):
        parts = _primitives(json.loads(_description(path)))
        return [name in part["attributes"] for part in parts if part.get("mode", 4) in TRIANGLES]


def _description(path: Path) -> bytes:
    """Return the JSON of a glTF file, or of a GLB's first chunk."""
    data = path.read_bytes()
    if path.suffix.lower() == ".gltf":
        return data
    size = int.from_bytes(data[12:16], "little")
    if data[:4] != b"glTF" or data[16:20] != b"JSON" or size > len(data) - 20:
        raise FileError(path, "expected a GLB file of version 2")
    announced = int.from_bytes(data[8:12], "little")
    expect(announced <= len(data), path, f"is truncated: {len(data)} of {announced} bytes")
    return data[20 : 20 + size]


def _check_extensions(path: Path, tree: dict[str, Any]) -> None:
    needed = [name for name in tree.get("extensionsRequired", []) if not name.startswith(LOOKS)]
    expect(not needed, path, f"needs {', '.join(needed)}: export it without (no compression)")


def _outside(path: Path, tree: dict[str, Any]) -> list[Path]:
    """Return the files that hold the buffers, which must lie in the folder of the glTF file."""
    folder = path.parent.resolve()
    uris = [buffer.get("uri", "data:") for buffer in tree.get("buffers", [])]
    files = [(folder / unquote(uri)).resolve() for uri in uris if not uri.startswith("data:")]
    for file in files:
        expect(
            file.is_relative_to(folder) and file.is_file(),
            path,
            f"needs the file {file.name[:80]!a}, which is not in its folder",
        )
    return files


def _check_sizes(path: Path, tree: dict[str, Any], files: list[Path]) -> None:
    """Refuse views and accessors that copy the buffers over and over, or nothing at all."""
    views = [view["byteLength"] for view in tree.get("bufferViews", [])]
    counts = [accessor["count"] for accessor in tree.get("accessors", [])]
    expect(all(n >= 0 for n in views + counts), path, "a negative size")
    stored = sum(file.stat().st_size for file in [path, *files])
    plausible(path, sum(views) + VALUE_BYTES * sum(counts), stored)


def _check_accessors(path: Path, tree: dict[str, Any]) -> None:
    for primitive in _primitives(tree):
        for index in _geometry(primitive):
            accessor = tree["accessors"][index]
            expect(
                "bufferView" in accessor and "sparse" not in accessor,
                path,
                "holds positions or faces without plain data (Draco, sparse, ...)",
            )


def _check_nodes(path: Path, tree: dict[str, Any]) -> None:
    nodes = tree.get("nodes", [])
    roots = [scene.get("nodes", []) for scene in tree.get("scenes", [])]
    children = list(chain.from_iterable(node.get("children", []) for node in nodes))
    expect(
        len(set(children)) == len(children) and not set(children) & set(chain(*roots)),
        path,
        "the nodes form no tree: one has two parents",
    )
    corners = sum(_corners(tree, tree["meshes"][n["mesh"]]) for n in nodes if "mesh" in n)
    expect(corners <= MAX_CORNERS, path, f"its instances have {corners} corners together")


def _primitives(tree: dict[str, Any]) -> list[dict[str, Any]]:
    return list(chain.from_iterable(mesh["primitives"] for mesh in tree.get("meshes", [])))


def _geometry(primitive: dict[str, Any]) -> list[int]:
    """Return the accessors of a primitive's positions and faces."""
    found = [primitive["attributes"].get("POSITION"), primitive.get("indices")]
    return [index for index in found if index is not None]


def _corners(tree: dict[str, Any], mesh: dict[str, Any]) -> int:
    indices = chain.from_iterable(map(_geometry, mesh["primitives"]))
    return sum(tree["accessors"][index]["count"] for index in indices)
