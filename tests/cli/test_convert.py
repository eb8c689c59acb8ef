"""`pointgen convert`: what a file holds comes through, what is lost is said, nothing is guessed."""

import json

import numpy as np
import pytest
import trimesh

from pointgen.files import (
    is_mesh,
    read_clouds,
    read_mesh,
    read_surface,
    write_clouds,
    write_mesh,
)

CLOUDS = ("ply", "xyz", "pcd", "npz", "h5", "npy")
MESHES = ("ply", "obj", "glb", "off", "stl")
SHAPE = trimesh.creation.icosphere(1)
FACES = np.asarray(SHAPE.faces)
# Linear in the place, so that colours between the vertices are known too.
COLOURS = np.round(100 * SHAPE.vertices + 120).astype(np.uint8)


def some(count, size=20, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "clouds": rng.normal(size=(count, size, 3)).astype(np.float32),
        "normals": rng.normal(size=(count, size, 3)).astype(np.float32),
        "colours": rng.integers(0, 256, (count, size, 3), dtype=np.uint8),
        "labels": rng.integers(0, 50, (count, size)),
    }


def parts(cloud):
    return {
        "clouds": cloud.points,
        "normals": cloud.normals,
        "colours": cloud.colours,
        "labels": cloud.labels,
    }


def same(cloud, given, at=0):
    return all(
        array is None if name not in given else np.array_equal(array, given[name][at])
        for name, array in parts(cloud).items()
    )


def mesh_at(path, **more):
    return write_mesh(path, SHAPE.vertices, FACES, normals=SHAPE.vertices, colours=COLOURS, **more)


@pytest.mark.parametrize("first", CLOUDS)
@pytest.mark.parametrize("second", CLOUDS)
def test_clouds_come_through_every_pair_of_formats(pointgen, tmp_path, first, second):
    given = some(1)
    if first == "npy":
        given = {"clouds": given["clouds"]}
    write_clouds(tmp_path / f"a.{first}", **given)
    result = pointgen("convert", tmp_path / f"a.{first}", tmp_path / f"b.{second}")
    assert (result.status, result.out) == (0, "")
    lost = second == "npy" and len(given) > 1
    assert ("left out: normals, which .npy has no place for" in result.err) == lost
    (cloud,) = read_clouds(tmp_path / f"b.{second}")
    assert same(cloud, {"clouds": given["clouds"]} if lost else given)


@pytest.mark.parametrize("first", MESHES)
@pytest.mark.parametrize("second", MESHES)
def test_meshes_come_through_every_pair_of_formats(pointgen, tmp_path, first, second):
    a, b = tmp_path / f"a.{first}", tmp_path / f"b.{second}"
    mesh_at(a)
    lost = {"stl": {"normals", "colours"}, "off": {"normals"}}
    result = pointgen("convert", a, b)
    assert (result.status, result.out) == (0, "")
    said = {name for name in ("normals", "colours") if f"{name}, which .{second}" in result.err}
    assert said == lost.get(second, set()) - lost.get(first, set())
    before, after = read_surface(a), read_surface(b)
    np.testing.assert_array_equal(
        after.vertices.astype("f4")[after.faces], before.vertices.astype("f4")[before.faces]
    )
    gone = lost.get(first, set()) | lost.get(second, set())
    if "colours" not in gone:
        np.testing.assert_array_equal(after.colours, COLOURS)
    if "normals" not in gone:
        np.testing.assert_allclose(after.normals, SHAPE.vertices, atol=1e-7)
    if second != "stl":
        assert read_mesh(b).is_watertight  # also from stl, whose triangles share no vertices


@pytest.mark.parametrize("ending", ("ply", "npz", "npy"))
def test_a_mesh_becomes_points(pointgen, tmp_path, ending):
    mesh_at(tmp_path / "a.glb")
    count = 2048 if ending != "ply" else 500  # ply could hold the mesh
    more = () if ending != "ply" else ("--points", count)
    result = pointgen("convert", tmp_path / "a.glb", tmp_path / f"b.{ending}", *more)
    assert result.status == 0, result.err
    (cloud,) = read_clouds(tmp_path / f"b.{ending}")
    assert cloud.points.shape == (count, 3)
    radii = np.linalg.norm(cloud.points, axis=1)
    assert radii.min() > 0.93 and radii.max() < 1 + 1e-6
    if ending != "npy":
        assert ((cloud.normals * cloud.points).sum(1) > 0.9).all()
        np.testing.assert_allclose(cloud.colours, 100 * cloud.points + 120, atol=1.1)
    again = pointgen("convert", tmp_path / "a.glb", tmp_path / f"c.{ending}", *more)
    other = pointgen("convert", tmp_path / "a.glb", tmp_path / f"d.{ending}", *more, "--seed", 1)
    assert again.status == other.status == 0
    again, other = (read_clouds(tmp_path / f"{name}.{ending}")[0].points for name in "cd")
    assert np.array_equal(again, cloud.points) and not np.array_equal(other, cloud.points)


@pytest.mark.parametrize("ending", ("obj", "glb", "stl", "off"))
@pytest.mark.parametrize("folder", (False, True))
def test_points_become_no_mesh(pointgen, tmp_path, ending, folder):
    mesh_at(tmp_path / "in" / "a.obj")
    write_clouds(tmp_path / "in" / "b.ply", **some(1))
    source = tmp_path / "in" if folder else tmp_path / "in" / "b.ply"
    more = ("--to", ending) if folder else ()
    result = pointgen("convert", source, tmp_path / ("out" if folder else f"c.{ending}"), *more)
    assert result.status == 2
    assert "b.ply: holds points" in result.err and "`pointgen mesh`" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("ending", ("ply", "npz"))
def test_fewer_points_take_with_them_what_is_known(pointgen, tmp_path, ending):
    given = some(2)
    write_clouds(tmp_path / "a.npz", **given)
    assert pointgen("convert", tmp_path / "a.npz", tmp_path / "b", "--points", 7).status == 0
    for at, cloud in enumerate(read_clouds(tmp_path / "b")):
        assert cloud.points.shape == (7, 3)
        rows = [np.flatnonzero((given["clouds"][at] == p).all(1))[0] for p in cloud.points]
        assert len(set(rows)) == 7
        assert same(cloud, {name: array[at][rows][None] for name, array in given.items()})
    result = pointgen("convert", tmp_path / "a.npz", tmp_path / "c", "--points", 21)
    assert result.status == 2 and "a-0000 has 20 points, 21 are wanted" in result.err


IDS = ["chair", "名前 é", "b/c"]


@pytest.mark.parametrize(("stack", "alone"), (("npz", "ply"), ("h5", "xyz"), ("npz", "pcd")))
def test_a_stack_becomes_a_folder_and_again_a_stack(pointgen, tmp_path, stack, alone):
    given = some(3)
    write_clouds(tmp_path / f"a.{stack}", **given, ids=IDS)
    out = tmp_path / "out"
    assert pointgen("convert", tmp_path / f"a.{stack}", out, "--to", alone).status == 0
    names = {f"chair.{alone}", f"名前 é.{alone}", f"b_c.{alone}"}
    assert {path.name for path in out.iterdir()} == names
    assert pointgen("convert", out, tmp_path / f"b.{stack}").status == 0
    clouds = {cloud.id: cloud for cloud in read_clouds(tmp_path / f"b.{stack}")}
    assert clouds.keys() == {"chair", "名前 é", "b_c"}
    for at, id in enumerate(("chair", "名前 é", "b_c")):
        assert same(clouds[id], given, at)


def test_a_stack_without_ids_becomes_a_series(pointgen, tmp_path):
    np.save(tmp_path / "a.npy", some(2)["clouds"])
    assert pointgen("convert", tmp_path / "a.npy", tmp_path / "b.ply").status == 0
    assert pointgen("convert", tmp_path / "a.npy", tmp_path / "b.npz").status == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.npy", "b-000.ply", "b-001.ply", "b.npz"
    }  # fmt: skip
    assert [cloud.id for cloud in read_clouds(tmp_path / "b.npz")] == ["b-0000", "b-0001"]


@pytest.fixture
def tree(tmp_path):
    """A folder of everything: subfolders, meshes, names twice, hidden and other files."""
    root = tmp_path / "tree"
    for at, name in enumerate(("cars/1.npy", "chairs/1.xyz", "2.npy", "2.pcd", "名 é.v2.ply")):
        write_clouds(root / name, some(1, seed=at)["clouds"][0])
    write_clouds(root / "sets" / "b.npz", **some(2, seed=9), ids=["x", "y"])
    mesh_at(root / "chairs" / "m.obj")
    (root / "notes.md").write_text("no shape")
    (root / ".hidden.ply").write_text("no shape")
    return root


def test_a_folder_keeps_its_paths(pointgen, tmp_path, tree):
    out = tmp_path / "out"
    result = pointgen("convert", tree, out, "--json")
    assert result.status == 0, result.err
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {
        "cars/1.ply", "chairs/1.ply", "2.npy.ply", "2.pcd.ply", "名 é.v2.ply", "sets/b/x.ply",
        "sets/b/y.ply", "chairs/m.ply",
    }  # fmt: skip
    told = json.loads(result.out)
    assert (len(told["files"]), told["shapes"], told["left_out"]) == (8, 8, [])
    assert is_mesh(out / "chairs" / "m.ply")
    (out / "chairs" / "m.ply").unlink()
    (tree / "chairs" / "m.obj").unlink()
    before, after = ({c.id: c for c in read_clouds(folder)} for folder in (tree, out))
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[id].points, after[id].points) for id in before)


@pytest.mark.parametrize("to", ("npz", "npy", "xyz"))
def test_a_folder_of_any_format(pointgen, tmp_path, tree, to):
    result = pointgen("convert", tree, tmp_path / "out", "--to", to, "--points", 8)
    assert result.status == 0, result.err
    clouds = read_clouds(tmp_path / "out")
    assert len(clouds) == 8 and all(len(cloud.points) == 8 for cloud in clouds)
    assert ("labels, which .npy has no place for (2 shapes)" in result.err) == (to == "npy")


def test_a_folder_becomes_one_stack(pointgen, tmp_path, tree):
    result = pointgen("convert", tree, tmp_path / "all.npz", "--points", 8)
    assert result.status == 0, result.err
    assert "normals, which only some of the shapes in all.npz have (3 shapes)" in result.err
    ids = {cloud.id for cloud in read_clouds(tmp_path / "all.npz")}
    assert ids == {"cars/1", "chairs/1", "2.npy", "2.pcd", "名 é.v2", "x", "y", "m"}
    unequal = pointgen("convert", tree, tmp_path / "b.npz")
    assert unequal.status == 2 and "20 to 2048 points do not fit one array" in unequal.err
    series = pointgen("convert", tree, tmp_path / "b.ply")
    assert series.status == 2 and "expected a folder for 7 shapes" in series.err


@pytest.mark.parametrize(
    ("source", "target", "more", "message"),
    (
        ("nothing", "out", (), "nothing: no such file or folder"),
        ("tree", "tree", (), "lies in the source"),
        ("tree", "tree/out", (), "lies in the source"),
        ("tree", "empty/../tree/all.npz", (), "lies in the source"),
        ("tree", "old", (), "exists already; --force"),
        ("tree/2.npy", "a.las", (), "unknown ending .las"),
        ("tree/2.npy", "a.ply", ("--to", "xyz"), "--to xyz"),
        ("tree/2.npy", "a", ("--to", "las"), "--to"),
        ("tree/2.npy", "file/a.ply", (), "is not a folder"),
        ("tree/chairs/m.obj", "a.off", ("--points", 9), "--points"),
        ("tree/notes.md", "a.obj", (), "got ending '.md'"),
        ("tree/.hidden.ply", "a.npy", (), "expected a PLY file"),
        ("empty", "out", (), "holds no files of points or meshes"),
        ("twice", "out", (), "two of its files would become"),
    ),
)
def test_mistakes_are_one_line_and_nothing_is_written(
    pointgen, tmp_path, tree, source, target, more, message
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name in ("a.npy", "a.npy.ply", "a.ply"):
        write_clouds(tmp_path / "twice" / name, some(1)["clouds"][0])
    mesh_at(tmp_path / "old" / "chairs" / "m.ply")
    before = sorted(tmp_path.rglob("*"))
    result = pointgen("convert", tmp_path / source, tmp_path / target, *more)
    assert result.status == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_force_overwrites_even_the_source(pointgen, tmp_path):
    write_clouds(tmp_path / "a.ply", some(1)["clouds"][0])
    write_clouds(tmp_path / "b.ply", some(1, seed=1)["clouds"][0])
    for source in ("b", "a"):
        args = ("convert", tmp_path / f"{source}.ply", tmp_path / "a.ply")
        assert pointgen(*args).status == 2
        assert pointgen(*args, "--force").status == 0
    (cloud,) = read_clouds(tmp_path / "a.ply")
    np.testing.assert_array_equal(cloud.points, some(1, seed=1)["clouds"][0])


def test_no_source_is_overwritten_by_another(pointgen, tmp_path):
    for name in ("x/a.ply", "x/x/a.ply"):
        write_clouds(tmp_path / name, some(1)["clouds"][0])
    result = pointgen("convert", tmp_path / "x", tmp_path, "--force")
    assert result.status == 2 and "is a source and would be overwritten" in result.err


def test_a_damaged_file_of_a_folder_is_passed_over(pointgen, tmp_path, tree):
    assert pointgen("convert", tree, tmp_path / "whole").status == 0
    (tree / "sets" / "a.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex 9\nend_header\n")
    (tree / "z.ply").write_bytes(b"ply\nno header")  # which does not even say what it holds
    result = pointgen("convert", tree, tmp_path / "out", "--json")
    assert result.status == 1 and len([x for x in result.err.splitlines() if "a.ply: " in x]) == 1
    assert sorted(json.loads(result.out)["failed"]) == [
        str(tree / "sets" / "a.ply"), str(tree / "z.ply")
    ]  # fmt: skip
    whole, left = (
        {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.ply")}
        for name in ("whole", "out")
    )
    assert left == {path for path in whole if path.name != "a.ply"}
    assert not [p for p in (tmp_path / "out").rglob(".*")], "a temporary file stayed"
    alone = pointgen("convert", tree / "z.ply", tmp_path / "z.xyz")
    assert alone.status == 2 and "z.ply: " in alone.err


def test_what_cannot_be_used_is_said(pointgen, tmp_path):
    given = some(1)
    np.savez(tmp_path / "a.npz", points=given["clouds"][0], normals=given["normals"][0, 1:])
    result = pointgen("convert", tmp_path / "a.npz", tmp_path / "a.ply", "--json")
    assert result.status == 0
    assert result.err.startswith("left out: normals, which has not a row of numbers for each point")
    assert json.loads(result.out)["left_out"] == [result.err.strip().removeprefix("left out: ")]
