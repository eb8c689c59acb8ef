"""What is written is what is read, in every format; and a folder's ids are unique."""

import os
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointgen.files import FileError, check_target, read_clouds, write_clouds

ARRAYS = ("npy", "npz", "h5", "hdf5")
SINGLES = ("ply", "xyz", "pcd")


def random_clouds(count, size, seed=0):
    # raw bit patterns: every finite float32, tiny and huge, must survive
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2**32, (count, size, 3), dtype=np.uint32).view(np.float32)
    return np.where(np.isfinite(values), values, np.float32(0.1))


def same(read, written):
    return len(read) == len(written) and all(
        c.points.dtype == np.float32 and np.array_equal(c.points, w)
        for c, w in zip(read, written, strict=True)
    )


@pytest.mark.parametrize("ending", ARRAYS + SINGLES)
@settings(deadline=None, max_examples=15)
@given(count=st.integers(1, 4), size=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_round_trip_is_exact(tmp_path_factory, ending, count, size, seed):
    folder = tmp_path_factory.mktemp("clouds")
    clouds = random_clouds(count, size, seed)
    paths = write_clouds(folder / f"out.{ending}", clouds)
    assert all(path.is_file() for path in paths)
    assert same([c for path in paths for c in read_clouds(path)], clouds)
    assert same(read_clouds(folder), clouds)
    assert sorted(p for p in folder.iterdir()) == sorted(paths), "a temporary file stayed"


def known(count, size, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "normals": random_clouds(count, size, seed + 1),
        "colours": rng.integers(0, 256, (count, size, 3), dtype=np.uint8),
        "labels": rng.integers(-(2**31), 2**31, (count, size), dtype=np.int64),
    }


def parts(cloud):
    return {"normals": cloud.normals, "colours": cloud.colours, "labels": cloud.labels}


@pytest.mark.parametrize("ending", ("npz", "h5", "ply", "xyz", "pcd"))
@pytest.mark.parametrize("chosen", ("normals", "colours", "labels", "normals colours labels"))
def test_what_is_known_of_points_comes_back(tmp_path, ending, chosen):
    given = {name: array for name, array in known(3, 7).items() if name in chosen}
    paths = write_clouds(tmp_path / f"a.{ending}", random_clouds(3, 7), **given)
    read = [cloud for path in paths for cloud in read_clouds(path)]
    assert same(read, random_clouds(3, 7))
    for at, cloud in enumerate(read):
        assert cloud.left_out == ()
        for name, array in parts(cloud).items():
            if name in given:
                np.testing.assert_array_equal(array, given[name][at])
            else:
                assert array is None


@pytest.mark.parametrize("ending", ("npz", "h5", "ply", "xyz", "pcd"))
def test_one_bare_cloud_takes_bare_arrays(tmp_path, ending):
    given = {name: array[0] for name, array in known(1, 9).items()}
    write_clouds(tmp_path / f"a.{ending}", random_clouds(1, 9)[0], **given)
    (cloud,) = read_clouds(tmp_path / f"a.{ending}")
    for name, array in parts(cloud).items():
        np.testing.assert_array_equal(array, given[name])


def test_dark_colours_and_long_normals_are_told_apart_in_text(tmp_path):
    cloud = random_clouds(1, 5)[0]
    for name, array in (("colours", np.ones((5, 3), np.uint8)), ("normals", np.full((5, 3), 9))):
        write_clouds(tmp_path / "a.xyz", cloud, **{name: array}, force=True)
        (read,) = read_clouds(tmp_path / "a.xyz")
        np.testing.assert_array_equal(parts(read)[name], array)


def test_clouds_with_a_file_each_need_not_all_have_colours(tmp_path):
    clouds, colours = random_clouds(2, 4), [None, np.full((4, 3), 7, np.uint8)]
    write_clouds(tmp_path / "made", clouds, colours=colours)
    first, second = read_clouds(tmp_path / "made")
    assert first.colours is None
    np.testing.assert_array_equal(second.colours, colours[1])
    with pytest.raises(FileError, match=r"colours of 1 of 2 clouds do not fit one array"):
        write_clouds(tmp_path / "a.npz", clouds, colours=colours)


@pytest.mark.parametrize(
    ("name", "more", "message"),
    (
        ("a.npy", {"normals": known(2, 4)["normals"]}, r"has no place for normals: choose \.npz"),
        ("a.ply", {"normals": known(1, 4)["normals"]}, "expected 2 normals, got 1"),
        ("a.ply", {"normals": known(2, 5)["normals"]}, r"normals of shape \(4, 3\) and type f4"),
        ("a.ply", {"normals": np.full((2, 4, 3), np.inf)}, "expected finite normals"),
        ("a.h5", {"colours": known(2, 4)["normals"]}, r"colours of shape \(4, 3\) and type u1"),
        ("a.h5", {"colours": np.full((2, 4, 3), 256)}, r"colours of shape \(4, 3\) and type u1"),
        ("a.pcd", {"labels": np.zeros((2, 4))}, r"labels of shape \(4,\) and type i4"),
        ("a.pcd", {"labels": np.full((2, 4), 2**31)}, "labels that fit i4"),
    ),
)
def test_what_does_not_belong_to_the_points_is_not_written(tmp_path, name, more, message):
    with pytest.raises(FileError, match=message):
        write_clouds(tmp_path / name, random_clouds(2, 4), **more)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_unequal_clouds(tmp_path):
    clouds = [random_clouds(1, n)[0] for n in (1, 5, 3)]
    paths = write_clouds(tmp_path / "made", clouds)
    assert [p.name for p in paths] == ["000.ply", "001.ply", "002.ply"]
    assert same(read_clouds(tmp_path / "made"), clouds)
    with pytest.raises(FileError, match=r"\.ply, \.xyz, \.pcd"):
        write_clouds(tmp_path / "out.npy", clouds)


@pytest.mark.parametrize("ending", ("npz", "h5"))
def test_ids_are_stored(tmp_path, ending):
    ids = ["chair", "名前 é", "b/c"]
    write_clouds(tmp_path / f"x.{ending}", random_clouds(3, 4), ids=ids)
    assert [c.id for c in read_clouds(tmp_path / f"x.{ending}")] == ids


@pytest.mark.parametrize("name", ("made", "made.ply"))
def test_ids_name_files_and_cannot_leave_the_folder(tmp_path, name):
    ids = ["../../evil", "/etc/x", ".hidden", "名前 é", "a\\b\0"]
    (tmp_path / "in").mkdir()
    paths = write_clouds(tmp_path / "in" / name, random_clouds(5, 4), ids=ids)
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == set(paths)
    assert len(read_clouds(tmp_path / "in")) == 5
    assert any("名前 é" in c.id for c in read_clouds(tmp_path / "in"))


@pytest.mark.parametrize("ids", (["a"], ["a", "a"], ["a", ""], ["a", "A"]))
def test_ids_that_cannot_name_files(tmp_path, ids):
    with pytest.raises(FileError, match=r"out: .*id"):
        write_clouds(tmp_path / "out", random_clouds(2, 4), ids=ids)


def test_stems_that_collide_give_way_to_paths(tmp_path):
    cloud = random_clouds(1, 4)[0]
    for name in ("chairs/1.npy", "cars/1.ply", "2.npy", "2.ply", "3.xyz"):
        write_clouds(tmp_path / name, cloud)
    write_clouds(tmp_path / "stack.npy", random_clouds(2, 4))
    (tmp_path / "notes.md").write_text("not a cloud")
    (tmp_path / "._3.ply").write_text("what some systems leave beside a file")
    ids = [c.id for c in read_clouds(tmp_path)]
    assert sorted(ids) == sorted(
        ["2.npy", "2.ply", "3", "cars/1", "chairs/1", "stack-0000", "stack-0001"]
    )


def test_equal_stored_ids_of_two_files_are_told_apart(tmp_path):
    for name in ("a", "b"):
        write_clouds(tmp_path / f"{name}.npz", random_clouds(2, 4), ids=["x", f"only {name}"])
    ids = [c.id for c in read_clouds(tmp_path)]
    assert ids == ["a/x", "only a", "b/x", "only b"]


@pytest.mark.parametrize("name", ("a.npy", "a.ply", "a.h5"))
def test_nothing_is_overwritten_without_force(tmp_path, name):
    first, second = random_clouds(1, 4)[0], random_clouds(1, 5)[0]
    write_clouds(tmp_path / name, first)
    with pytest.raises(FileError, match=f"{name}: .*--force"):
        write_clouds(tmp_path / name, second)
    assert same(read_clouds(tmp_path / name), [first])
    write_clouds(tmp_path / name, second, force=True)
    assert same(read_clouds(tmp_path / name), [second])


def test_one_existing_file_of_a_series_stops_all(tmp_path):
    write_clouds(tmp_path / "a-001.ply", random_clouds(1, 4))
    with pytest.raises(FileError, match=r"a-001\.ply: .*--force"):
        write_clouds(tmp_path / "a.ply", random_clouds(3, 4))
    assert [p.name for p in tmp_path.iterdir()] == ["a-001.ply"]


@pytest.mark.parametrize(
    ("clouds", "message"),
    (
        (np.full((4, 3), np.nan), "4 of 4 points are not finite"),
        (np.full((4, 3), 1e300), "4 of 4 points are not finite"),
        (np.zeros((4, 2)), r"expected clouds of shape \(N, 3\)"),
        (np.zeros((0, 3)), r"expected clouds of shape \(N, 3\)"),
        ([], "at least one cloud"),
        (np.zeros((0, 4, 3)), "at least one cloud"),
        (np.array([["a", "b", "c"]]), r"expected clouds of shape \(N, 3\)"),
    ),
)
def test_what_is_no_cloud_is_not_written(tmp_path, clouds, message):
    with pytest.raises(FileError, match=message):
        write_clouds(tmp_path / "a.npy", clouds)
    assert not list(tmp_path.iterdir())


def test_an_unknown_ending_names_the_known(tmp_path):
    with pytest.raises(FileError, match=r"\.npy.*\.pcd.*'\.las'"):
        write_clouds(tmp_path / "a.las", random_clouds(1, 4))


def test_one_bare_cloud_and_a_stack_keep_their_shape(tmp_path):
    stack = random_clouds(1, 4)
    write_clouds(tmp_path / "a.npy", stack)
    write_clouds(tmp_path / "b.npy", stack[0])
    assert np.load(tmp_path / "a.npy").shape == (1, 4, 3)
    assert np.load(tmp_path / "b.npy").shape == (4, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    (
        ("a.las", r"expected the ending \.npy.*'\.las'"),
        (".npy", "expected a name before the ending"),
        (".PLY", "expected a name before the ending"),
        ("file.txt/a.npy", r"cannot be written: .*file\.txt is not a folder"),
        ("file.txt/deep/made", r"cannot be written: .*file\.txt is not a folder"),
        ("plain", r"plain is not a folder"),
        ("old.npy", r"exists already; --force \(in Python force=True\) overwrites it"),
        ("old.ply", r"exists already; --force"),
        ("x" * 300 + ".npy", "cannot be written .*too long"),
    ),
)
def test_a_bad_target_is_refused_before_and_when_writing(tmp_path, name, message):
    for old in ("file.txt", "plain", "old.npy", "old.ply"):
        (tmp_path / old).touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileError, match=message) as caught:
        check_target(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    with pytest.raises(FileError, match=message):
        write_clouds(tmp_path / name, random_clouds(1, 4))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_good_target_is_left_alone(tmp_path):
    (tmp_path / "old.npy").touch()
    (tmp_path / "folder").mkdir()
    for name in ("a.npy", "deep/er/a.PLY", "made", "folder", "."):
        check_target(tmp_path / name)
    check_target(tmp_path / "old.npy", force=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "old.npy"]


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    # by a stand-in, since the root user may write everywhere
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    with pytest.raises(FileError, match=r"a\.npy: cannot be written: no permission in"):
        check_target(tmp_path / "new" / "a.npy")


@pytest.mark.skipif(os.name != "posix", reason="file modes are of posix systems")
def test_a_written_file_has_the_usual_mode(tmp_path):
    (tmp_path / "plain").touch()
    write_clouds(tmp_path / "a.npy", random_clouds(1, 4))
    modes = {stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("plain", "a.npy")}
    assert len(modes) == 1
