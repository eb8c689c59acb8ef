"""Surfaces: known areas from every format, and one clear error for what is none."""

import json
import struct

import numpy as np
import pytest
import trimesh

from pointgen.files import FileError, is_mesh, read_mesh

QUAD = "v 0 0 0\nv 2 0 0\nv 2 1 0\nv 0 1 0\n"
PLY_MESH = (
    "ply\nformat {} 1.0\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\n"
    "element face {}\nproperty list uchar int vertex_indices\nend_header\n"
)
VERTICES = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0], [-1, 0.5, 0]])


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("ending", ("obj", "off", "stl", "glb", "gltf", "ply"))
def test_a_box_keeps_its_area(tmp_path, ending):
    box = trimesh.creation.box((1, 2, 3))
    if ending == "gltf":
        for name, data in trimesh.exchange.gltf.export_gltf(trimesh.Scene(box)).items():
            (tmp_path / name).write_bytes(data)
        path = tmp_path / "model.gltf"
    else:
        path = tmp_path / f"名 é.{ending.upper()}"
        box.export(path, file_type=ending)
    mesh = read_mesh(path)
    assert is_mesh(path)
    assert len(mesh.faces) == 12
    assert mesh.area == pytest.approx(22, rel=1e-6)


def test_a_scene_is_flattened_with_its_transforms(tmp_path):
    scene = trimesh.Scene()
    for shift in (0, 10):
        move = trimesh.transformations.translation_matrix([shift, 0, 0]) @ np.diag([2, 2, 2, 1])
        scene.add_geometry(trimesh.creation.box((1, 1, 1)), transform=move)
    scene.export(tmp_path / "a.glb")
    mesh = read_mesh(tmp_path / "a.glb")
    assert mesh.area == pytest.approx(48)
    np.testing.assert_allclose(mesh.bounds, [[-1, -1, -1], [11, 1, 1]])


@pytest.mark.parametrize(
    ("text", "area"),
    (
        ("OFF4 1 0\n0 0 0\n2 0 0\n2 1 0\n0 1 0\n4 0 1 2 3\n", 2),
        ("OFF\n# by hand\n\n3 1 0\n0 0 0\n2 0 0\n2 1 0\n3 0 1 2\n", 1),
        ("COFF\n3 1 0\n0 0 0 9 9 9\n2 0 0 9 9 9\n2 1 0 9 9 9\n3 0 1 2\n", 1),
    ),
)
def test_off_as_met_in_the_field(tmp_path, text, area):
    assert read_mesh(write(tmp_path / "a.off", text)).area == pytest.approx(area)


@pytest.mark.parametrize(
    ("faces", "area"),
    (
        ("f 1 2 3 4", 2),
        ("f 1/1/1 2//2 3/ 4 # the floor", 2),
        ("f 1 2 \\\n3 4", 2),
        ("f -4 -3 -2", 1),
        ("f -4 -3 -2\nv 5 5 5\nv 6 6 6", 1),  # relative to its own line, not to the end
        ("f 1 2 3\nl 1 2\np 1\nf 1 2\ng f 1 2", 1),
    ),
)
def test_obj(tmp_path, faces, area):
    text = f"mtllib ../../missing.mtl\n{QUAD}vn 0 0 1\nusemtl a\n{faces}\n"
    assert read_mesh(write(tmp_path / "a.obj", text)).area == pytest.approx(area)


@pytest.mark.parametrize("header", (b"made by hand", b"solid cube", b"solid outer loop"))
@pytest.mark.parametrize("after", (b"", b"\0\0", b"\r\n", b"facet" * 20))
def test_what_follows_the_facets_of_a_binary_stl_is_no_part_of_it(tmp_path, header, after):
    data = trimesh.creation.box((1, 2, 3)).export(file_type="stl")
    mesh = read_mesh(write(tmp_path / "a.stl", header.ljust(80, b" ") + data[80:] + after))
    assert len(mesh.faces) == 12 and mesh.area == pytest.approx(22, rel=1e-6)


def test_a_byte_order_mark_is_no_part_of_an_obj(tmp_path):
    text = f"\ufeff{QUAD}f 1 2 3 4\n"
    assert len(read_mesh(write(tmp_path / "a.obj", text)).vertices) == 4


@pytest.mark.parametrize(
    ("form", "order"),
    (("ascii", ""), ("binary_little_endian", "<"), ("binary_big_endian", ">")),
)
@pytest.mark.parametrize("mixed", (True, False))
def test_ply_with_polygons(tmp_path, form, order, mixed):
    faces = [[0, 1, 2, 3], [0, 3, 4]] if mixed else [[0, 1, 2], [0, 2, 3], [0, 3, 4]]
    if form == "ascii":
        rows = [*VERTICES.tolist(), *([len(face), *face] for face in faces)]
        body = "\n".join(" ".join(map(str, row)) for row in rows).encode()
    else:
        body = VERTICES.astype(f"{order}f4").tobytes()
        body += b"".join(struct.pack(f"{order}B{len(f)}i", len(f), *f) for f in faces)
    path = write(tmp_path / "a.ply", PLY_MESH.format(form, len(faces)).encode() + body)
    assert is_mesh(path)
    assert read_mesh(path).area == pytest.approx(2.5)


def test_points_are_no_mesh(tmp_path):
    text = PLY_MESH.format("ascii", 0) + "0 0 0\n" * 5
    assert not is_mesh(write(tmp_path / "a.ply", text))
    assert not is_mesh(tmp_path / "a.npy")
    assert not is_mesh(tmp_path)
    with pytest.raises(FileError, match="no faces"):
        read_mesh(tmp_path / "a.ply")


def glb(tree):
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    return b"glTF" + struct.pack("<III4s", 2, 20 + len(text), len(text), b"JSON") + text


def scene(**accessor):
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"componentType": 5126, "count": 3, "type": "VEC3", **accessor}],
    }


OUTSIDE = {"bufferViews": [{"buffer": 0, "byteLength": 36}]} | scene(bufferView=0)
SOLID = (
    "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\n"
    "endfacet\nendsolid a\n"
)

DAMAGED = {
    "empty.obj": ("", "empty"),
    "nothing.obj": ("# nothing\n", "no vertices"),
    "points.obj": (QUAD, "no faces"),
    "lines.obj": (QUAD + "l 1 2 3\n", "no faces"),
    "zero.obj": (QUAD + "f 0 1 2\n", "line 5: vertex 0"),
    "beyond.obj": (QUAD + "f 1 2 9\n", "vertex 8"),
    "endless.obj": (QUAD + f"f 1 2 {'9' * 30}\n", "faces"),
    "before.obj": (QUAD + "f -9 1 2\n", "line 5: vertex -9"),
    "word.obj": (QUAD + "f a b c\n", "line 5"),
    "nan.obj": (QUAD + "v nan 0 0\nf 1 2 5\n", "1 of 5 vertices are not finite"),
    "odd_nan.obj": ("v 1.#IND 0 0\n", "line 1"),
    "short.obj": ("v 1 2\n", "line 1: expected 3 coordinates"),
    "flat.obj": ("v 0 0 0\nv 1 1 1\nv 2 2 2\nf 1 2 3\n", "area 0"),
    "huge.obj": ("v 0 0 0\nv 1e300 0 0\nv 0 1e300 0\nf 1 2 3\n", "area inf"),
    "cut.off": ("OFF\n4 2 0\n0 0 0\n2 0 0\n2 1 0\n0 1 0\n3 0 1 2\n", "announces 2 faces, got 1"),
    "cut_vertices.off": ("OFF\n4 2 0\n0 0 0\n2 0 0\n", "off"),
    "header_only.off": ("OFF8 12 0\n", "announces 8 vertices and 12 faces, then has 0 numbers"),
    "giant.off": ("OFF\n1000000000000 1 0\n0 0 0\n", "off"),
    "negative.off": ("OFF\n-1 -1 0\n0 0 0\n", "off|no faces"),
    "word.off": ("OFF\n3 1 0\n0 0 0\n2 0 x\n2 1 0\n3 0 1 2\n", "off"),
    "beyond.off": ("OFF\n3 1 0\n0 0 0\n2 0 0\n2 1 0\n3 0 1 7\n", "off"),
    "counts.off": ("COFF OFF8\n3 1 0\n0 0 0\n2 0 0\n2 1 0\n3 0 1 2\n", "off"),
    "flat.off": ("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n", "area 0"),
    "cut.stl": (SOLID + SOLID[:-12], "announces 2 faces, got 1"),
    "word.stl": (SOLID.replace("vertex 1 0 0", "vertex 1 x 0"), "stl"),
    "cut_binary.stl": (bytes(80) + struct.pack("<I", 2) + bytes(99), "announces 2 facets, holds 1"),
    "giant_binary.stl": (bytes(80) + b"\xff" * 4, "announces 4294967295 facets, holds 0"),
    "header.stl": (bytes(83), "no faces"),
    "none.stl": (bytes(84), "no faces"),
    "words.stl": ("solid " + "a" * 99 + "\nendsolid\n", "no faces"),
    "beyond.ply": (PLY_MESH.format("ascii", 1) + "0 1 2\n" * 5 + "3 0 1 5\n", "vertex 5"),
    "half.ply": (PLY_MESH.format("ascii", 1) + "0 1 2\n" * 5 + "3 0 1 2.5\n", "a face has vertex"),
    "cut.ply": (PLY_MESH.format("ascii", 2) + "0 1 2\n" * 5 + "3 0 1 2\n     ", "truncated"),
    "list.ply": (PLY_MESH.format("ascii", 1) + "0 1 2\n" * 5 + "9 0 1 2\n", "a list of 9"),
    "magic.glb": (b"glTX" + bytes(40), "GLB"),
    "json.glb": (glb({})[:-4] + b"{{{{", "glTF"),
    "cut.glb": (glb(scene())[:-40], "GLB|truncated"),
    "nothing.glb": (glb({"asset": {"version": "2.0"}, "scenes": [{}]}), "no faces|glb"),
    "draco.glb": (glb(scene()), "without plain data"),
    "needs.glb": (
        glb(scene() | {"extensionsRequired": ["KHR_draco_mesh_compression"]}),
        "needs KHR_draco",
    ),
    "giant.glb": (glb(scene(count=10**12)), "damaged or hostile"),
    "negative.glb": (glb(scene(count=-1)), "negative"),
    "cycle.glb": (
        glb(scene(bufferView=0) | {"nodes": [{"children": [1]}, {"children": [0]}]}),
        "no tree",
    ),
    "instances.glb": (
        glb(scene(bufferView=0, count=10**6) | {"nodes": [{"mesh": 0}] * 100}),
        "corners",
    ),
    "outside.gltf": (json.dumps(OUTSIDE | {"buffers": [{"byteLength": 36, "uri": "../x"}]}), "'x'"),
    "net.gltf": (
        json.dumps(OUTSIDE | {"buffers": [{"byteLength": 36, "uri": "https://x.org/b.bin"}]}),
        "not in its folder",
    ),
    "deep.gltf": ("[" * 100_000, "glTF"),
    "mesh.obj.gz": (b"\x1f\x8b", "compressed"),
    "cloud.npy": (b"\x93NUMPY", r"'\.npy'"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_clear_error(tmp_path, name):
    content, message = DAMAGED[name]
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "x").write_bytes(np.eye(3, dtype="<f4").tobytes())
    path = write(folder / name, content)
    with pytest.raises(FileError, match=message) as caught:
        read_mesh(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_nothing_there(tmp_path):
    for name in ("a.obj", "a.ply"):
        with pytest.raises(FileError, match="no such file"):
            read_mesh(tmp_path / name)


def test_an_off_file_without_vertices_is_one_clear_error(tmp_path):
    path = tmp_path / "empty.off"
    path.write_text("OFF\n0 0 0\n")
    with pytest.raises(FileError, match=r"empty\.off"):
        read_mesh(path)
