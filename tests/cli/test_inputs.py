"""What a person names on the command line comes with its colours, labels and surfaces."""

import numpy as np
import pytest

from pointgen.cli.inputs import read_shapes
from pointgen.files import read_clouds, write_clouds, write_mesh

POINTS = np.random.default_rng(0).normal(size=(3, 8, 3)).astype(np.float32)
COLOURS = np.arange(24, dtype=np.uint8).reshape(8, 3)
VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32)
FACES = np.array([[0, 1, 2]])
SHADES = np.array([[0, 0, 50], [200, 0, 50], [0, 100, 50]], dtype=np.uint8)


def test_clouds_bring_what_their_files_have(tmp_path):
    labels = [None, np.arange(8), None]
    write_clouds(tmp_path / "a", POINTS, colours=[COLOURS, None, None], labels=labels)
    shapes = read_shapes(tmp_path / "a")
    np.testing.assert_array_equal(shapes.colours[0], COLOURS)
    assert shapes.colours[1:] == [None, None]
    np.testing.assert_array_equal(shapes.labels[1], labels[1])
    assert (shapes.normals, shapes.surfaces) == (None, None)


def test_where_none_has_any_there_is_none(tmp_path):
    write_clouds(tmp_path / "a.npy", POINTS)
    shapes = read_shapes(tmp_path / "a.npy")
    assert (shapes.colours, shapes.labels) == (None, None)


def test_colours_and_labels_stay_with_their_points(tmp_path):
    labels = np.arange(24).reshape(3, 8)
    write_clouds(tmp_path / "a.npz", POINTS, colours=[COLOURS] * 3, labels=labels)
    shapes = read_shapes(tmp_path / "a.npz", num_points=5)
    for at in range(3):
        rows = shapes.labels[at] - 8 * at
        assert len(set(rows)) == 5
        np.testing.assert_array_equal(shapes.points[at], POINTS[at, rows])
        np.testing.assert_array_equal(shapes.colours[at], COLOURS[rows])


@pytest.mark.parametrize("kept", (False, True))
def test_meshes_bring_colours_and_where_asked_their_surfaces(tmp_path, kept):
    write_mesh(tmp_path / "in" / "a.obj", VERTICES, FACES, colours=SHADES)
    write_mesh(tmp_path / "in" / "b.stl", VERTICES, FACES)
    shapes = read_shapes(tmp_path / "in", num_points=50, surfaces=kept)
    x, y, _ = shapes.points[0].T
    expected = np.stack([200 * x, 100 * y, np.full(50, 50)], axis=1)
    np.testing.assert_allclose(shapes.colours[0], expected, atol=0.51)
    assert shapes.colours[1] is None
    assert all(np.allclose(normals, [0, 0, 1]) for normals in shapes.normals)
    if not kept:
        assert shapes.surfaces is None
        return
    for vertices, faces in shapes.surfaces:
        np.testing.assert_array_equal(vertices[faces], VERTICES[FACES])


def test_points_beside_meshes_are_left_out_with_a_count(tmp_path, capsys):
    write_clouds(tmp_path / "clouds", POINTS)
    read_shapes(tmp_path)
    assert capsys.readouterr().err == ""
    write_mesh(tmp_path / "a.ply", VERTICES, FACES)
    assert read_shapes(tmp_path, num_points=5).ids == ["a"]
    assert "holds meshes, so 3 files of points are left out" in capsys.readouterr().err


def test_what_is_hidden_is_no_part_of_a_folder(tmp_path):
    write_mesh(tmp_path / "a.obj", VERTICES, FACES)
    write_mesh(tmp_path / ".trash" / "b.obj", VERTICES, FACES)
    (tmp_path / "._a.ply").write_bytes(b"what macOS leaves behind")
    assert read_shapes(tmp_path, num_points=5).ids == ["a"]


def test_ids_are_those_of_clouds_of_the_same_names(tmp_path):
    names = ("a.obj", "a.off", "b/a.off", "b/c.off")
    for name in names:
        write_mesh(tmp_path / "meshes" / name, VERTICES, FACES)
        cloud = name.replace(".obj", ".xyz").replace(".off", ".ply")
        write_clouds(tmp_path / "clouds" / cloud, POINTS[0])
    ids = read_shapes(tmp_path / "meshes", num_points=5).ids
    assert ids == ["a.obj", "a.off", "b/a", "c"]
    found = [cloud.id for cloud in read_clouds(tmp_path / "clouds")]
    assert sorted(found) == ["a.ply", "a.xyz", "b/a", "c"]
