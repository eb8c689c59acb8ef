"""A mesh is written as it is: every format keeps what it has a place for, and trimesh agrees."""

import json

import numpy as np
import pytest
import trimesh

from pointgen.files import FileError, check_mesh_target, read_surface, write_mesh
from pointgen.files.write_mesh import mesh_carried

ENDINGS = ("ply", "obj", "glb", "stl", "off")
SHAPE = trimesh.creation.icosphere(1)
FACES = np.asarray(SHAPE.faces)
# Small, off centre, and with more digits than float32 has.
VERTICES = np.asarray(SHAPE.vertices) * 1e-7 + 2e-7
NORMALS = np.asarray(SHAPE.vertex_normals, np.float32)
COLOURS = np.random.default_rng(0).integers(0, 256, (len(VERTICES), 3)).astype(np.uint8)


def corners(vertices, faces):
    """The triangles, whatever the order and number of the vertices."""
    return np.asarray(vertices)[np.asarray(faces)]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("doubles", (False, True))
def test_a_round_trip_is_exact(tmp_path, ending, doubles):
    kept = np.float64 if doubles and ending in ("obj", "off") else np.float32
    vertices = VERTICES if doubles else VERTICES.astype(np.float32)
    path = tmp_path / f"名 é.{ending.upper()}"
    assert write_mesh(path, vertices, FACES, normals=NORMALS, colours=COLOURS) == path
    surface = read_surface(path)
    np.testing.assert_array_equal(
        corners(surface.vertices.astype(kept), surface.faces),
        corners(vertices.astype(kept), FACES),
    )
    assert surface.left_out == ()
    if "colours" in mesh_carried(path):
        np.testing.assert_array_equal(surface.colours, COLOURS)
    else:
        assert surface.colours is None
    if "normals" in mesh_carried(path):
        np.testing.assert_allclose(surface.normals, NORMALS, atol=1e-7)
    else:
        assert surface.normals is None
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_bare_mesh_has_no_normals_and_no_colours(tmp_path, ending):
    surface = read_surface(write_mesh(tmp_path / f"a.{ending}", VERTICES, FACES))
    assert (surface.normals, surface.colours, surface.left_out) == (None, None, ())


@pytest.mark.parametrize("ending", ENDINGS)
def test_trimesh_reads_the_same(tmp_path, ending):
    path = write_mesh(tmp_path / f"a.{ending}", VERTICES, FACES, normals=NORMALS, colours=COLOURS)
    (mesh,) = trimesh.load_scene(path, process=False).geometry.values()
    np.testing.assert_allclose(
        corners(mesh.vertices, mesh.faces), corners(VERTICES, FACES), atol=1e-13
    )
    if ending in ("ply", "obj", "glb"):
        np.testing.assert_array_equal(mesh.visual.vertex_colors[:, :3], COLOURS)
        np.testing.assert_allclose(mesh.vertex_normals, NORMALS, atol=1e-6)


def test_normals_of_a_scene_turn_with_its_parts(tmp_path):
    scene = trimesh.Scene()
    part = trimesh.Trimesh(
        SHAPE.vertices, FACES, vertex_normals=NORMALS, vertex_colors=COLOURS, process=False
    )
    turn = trimesh.transformations.rotation_matrix(1.0, [1, 2, 3])
    for name, matrix in (("a", turn), ("b", turn @ np.diag([2.0, 2, 2, 1]))):
        scene.add_geometry(part, geom_name=name, node_name=name, transform=matrix)
    (tmp_path / "a.glb").write_bytes(trimesh.exchange.gltf.export_glb(scene, include_normals=True))
    surface = read_surface(tmp_path / "a.glb")
    turned = np.concatenate([NORMALS @ turn[:3, :3].T] * 2)
    np.testing.assert_allclose(surface.normals, turned, atol=1e-6)
    np.testing.assert_array_equal(surface.colours, np.concatenate([COLOURS] * 2))


def test_of_a_scene_only_what_all_parts_have(tmp_path):
    scene = trimesh.Scene()
    for colours in (None, COLOURS):
        mesh = trimesh.Trimesh(SHAPE.vertices, FACES, vertex_colors=colours, process=False)
        scene.add_geometry(mesh)
    scene.export(tmp_path / "a.glb")
    surface = read_surface(tmp_path / "a.glb")
    assert surface.colours is None
    assert surface.left_out == ("colours, which only 1 of 2 parts have",)


GLTF_KINDS = {np.dtype("<u1"): 5121, np.dtype("<u2"): 5123, np.dtype("<f4"): 5126}


def write_gltf(path, arrays, primitives):
    """Write arrays as accessors of one buffer, and one mesh of primitives."""
    arrays = [np.asarray(array) for array in arrays]
    starts = np.cumsum([0, *(array.nbytes for array in arrays)]).tolist()
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": primitives}],
        "buffers": [{"byteLength": starts[-1], "uri": f"{path.stem}.bin"}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": array.nbytes}
            for start, array in zip(starts, arrays, strict=False)
        ],
        "accessors": [
            {
                "bufferView": at,
                "componentType": GLTF_KINDS[array.dtype],
                "count": len(array),
                "type": f"VEC{array.shape[1]}" if array.ndim == 2 else "SCALAR",
                "normalized": array.dtype.kind == "u" and array.ndim == 2,
            }
            for at, array in enumerate(arrays)
        ],
    }
    path.with_suffix(".bin").write_bytes(b"".join(array.tobytes() for array in arrays))
    path.write_text(json.dumps(tree))
    return path


TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4")
BYTES = np.array([[255, 128, 0], [0, 1, 254], [7, 77, 200]])


@pytest.mark.parametrize(
    "colours",
    (
        BYTES.astype("<u1"),
        (BYTES * 257).astype("<u2"),
        np.column_stack([BYTES * 257, [65535] * 3]).astype("<u2"),
        np.array([[65535, 32768, 0], [0, 300, 65278], [1800, 19789, 51400]], "<u2"),
        (BYTES / 255).astype("<f4"),
    ),
)
def test_colours_of_gltf_are_shares_of_their_type(tmp_path, colours):
    primitive = {"attributes": {"POSITION": 0, "COLOR_0": 1}}
    path = write_gltf(tmp_path / "a.gltf", [TRIANGLE, colours], [primitive])
    np.testing.assert_array_equal(read_surface(path).colours, BYTES)


@pytest.mark.parametrize("mode", (0, 1, 3))
@pytest.mark.parametrize("attribute", ("NORMAL", "COLOR_0", None))
def test_lines_and_points_of_gltf_do_not_count(tmp_path, mode, attribute):
    arrays = [TRIANGLE, TRIANGLE[[2, 2, 2]] + 1, BYTES.astype("<u1")]
    attributes = {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}
    others = {name: at for name, at in attributes.items() if name in ("POSITION", attribute)}
    primitives = [{"attributes": attributes}, {"attributes": others, "mode": mode}]
    if mode == 1:
        primitives.reverse()
    surface = read_surface(write_gltf(tmp_path / "a.gltf", arrays, primitives))
    np.testing.assert_array_equal(surface.normals, arrays[1])
    np.testing.assert_array_equal(surface.colours, BYTES)
    assert len(surface.vertices) == 3 and surface.left_out == ()


COFF = "COFF\n3 1 0\n0 0 0 {}\n1 0 0 {}\n0 1 0 {}\n3 0 1 2\n"
SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    ("text", "normals", "said"),
    (
        ("vn 0 0 2\nf 1//1 2//1 3//1\n", [[0, 0, 2]] * 3 + [[0, 0, 0]], ()),
        ("vn 0 0 2\nvn 1 0 0\nf 1//-2 2//-2 3/9/-2 4//-2\n", [[0, 0, 2]] * 4, ()),
        ("vn 0 0 2\nvn 0 0 2\nf 1//1 2//1 3//1\nf 1//2 3//2 4//2\n", [[0, 0, 2]] * 4, ()),
        ("vn 0 0 2\nvn 1 0 2\nf 1//1 2//1 3//1\nf 1//2 3//2 4//2\n", None, "where faces meet"),
        ("vn 0 0 2\nf 1//1 2//1 3//1\nf 1 3 4\n", None, "missing"),
        ("vn 0 0 2\nf 1//1 2//9 3//1\n", None, "missing"),
        ("vn 0 0 2\nf 1//1 2//x 3//1\n", None, "missing"),
        ("vn 0 0\nf 1//1 2//1 3//1\n", None, "missing"),
        ("vn 0 x 0\nf 1//1 2//1 3//1\n", None, "missing"),
        (f"vn 0 0 2\nf 1//1 2//1 3//{'9' * 30}\nf 1//1 {'9' * 30}//1\n", None, "missing"),
        ("vn 0 0 2\nf 1/1 2/1 3/1\n", None, ()),
    ),
)
def test_normals_of_obj_are_of_vertices_or_left_out(tmp_path, text, normals, said):
    (tmp_path / "a.obj").write_text(SQUARE + text)
    surface = read_surface(tmp_path / "a.obj")
    if normals is None:
        assert surface.normals is None
    else:
        np.testing.assert_array_equal(surface.normals, normals)
    assert bool(surface.left_out) == bool(said)
    assert not said or said in surface.left_out[0]


@pytest.mark.parametrize(
    ("name", "text", "colours"),
    (
        ("a.obj", "v 0 0 0 0 0 1\nv 1 0 0 1 0 0.2\nv 0 1 0 1 1 1\nf 1 2 3\n", [255, 0, 51]),
        ("a.obj", "v 0 0 0 0 0 1\nv 1 0 0\nv 0 1 0 1 1 1\nf 1 2 3\n", None),
        ("a.obj", "v 0 0 0 1\nv 1 0 0 1\nv 0 1 0 1\nf 1 2 3\n", None),  # a weight is no colour
        ("a.off", COFF.format("9 9 9 0", "255 0 51 0", "9 9 9 0"), [255, 0, 51]),
        ("a.off", COFF.format("1.0 0 0", "1 0 1", "1 1 1"), [255, 0, 255]),
        ("a.off", COFF.format("1.0 0 0", "1 0 0.2", "1 1 1"), [255, 0, 51]),
        ("a.off", COFF[1:].format("0 0 0", "1 0 1", "0 0 0"), [1, 0, 1]),
        ("a.off", "N" + COFF[1:].format("0 0 1", "0 0 1", "0 0 1"), None),
        ("a.off", COFF.format("9 9 9", "", "9 9 9"), None),
    ),
)
def test_colours_of_text(tmp_path, name, text, colours):
    (tmp_path / name).write_text(text)
    surface = read_surface(tmp_path / name)
    if colours is None:
        assert surface.colours is None
    else:
        assert surface.colours[1].tolist() == colours


@pytest.mark.parametrize(
    ("arrays", "message"),
    (
        ({"vertices": VERTICES[:, :2]}, "expected vertices of shape"),
        ({"vertices": VERTICES[:0]}, "expected vertices of shape"),
        ({"vertices": VERTICES * np.nan}, "not finite"),
        ({"vertices": VERTICES + 1e6}, "offset"),
        ({"faces": FACES[:0]}, "expected faces of shape"),
        ({"faces": FACES.astype(float)}, "expected faces of shape"),
        ({"faces": FACES + 1}, "a face has vertex 42 or"),
        ({"faces": FACES - 1}, "a face has vertex 40 or -1"),
        ({"normals": NORMALS[1:]}, "expected normals of shape"),
        ({"normals": NORMALS + np.inf}, "expected finite normals"),
        ({"colours": COLOURS[:, :2]}, "expected colours of shape"),
        ({"colours": COLOURS / 255}, "expected colours of shape"),
    ),
)
def test_what_is_no_mesh_is_not_written(tmp_path, arrays, message):
    given = {"vertices": VERTICES, "faces": FACES} | arrays
    with pytest.raises(FileError, match=message), np.errstate(invalid="ignore"):
        write_mesh(tmp_path / "a.ply", **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    (
        ("a.npy", r"expected the ending \.ply.*'\.npy'"),
        ("made", r"expected the ending \.ply.*''"),
        (".stl", "expected a name before the ending"),
        ("old.obj", r"exists already; --force"),
        ("old.obj/a.obj", "is not a folder"),
        ("folder", "got a folder"),
    ),
)
def test_a_bad_target_is_refused(tmp_path, name, message):
    (tmp_path / "old.obj").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match=message):
        check_mesh_target(tmp_path / name)
    with pytest.raises(FileError, match=message):
        write_mesh(tmp_path / name, VERTICES, FACES)
    assert len(list(tmp_path.rglob("*"))) == 2


def test_force_overwrites(tmp_path):
    (tmp_path / "a.obj").touch()
    check_mesh_target(tmp_path / "a.obj", force=True)
    write_mesh(tmp_path / "a.obj", VERTICES, FACES, force=True)
    assert len(read_surface(tmp_path / "a.obj").faces) == len(FACES)
