"""A file that the system does not let be read is one clear error, like any other bad file."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from pointgen.files import FileError, is_mesh, read_clouds, read_mesh, write_clouds, write_mesh
from pointgen.files.arrays import read_array

BOX = trimesh.creation.box((1, 2, 3))


@pytest.fixture
def refuse(monkeypatch):
    """Make `Path.open` refuse a file, as the system does to all but root."""
    plain = Path.open

    def refuse(refused):
        def opened(path, *arguments, **named):
            if path == refused:
                raise PermissionError(13, "Permission denied", str(path))
            return plain(path, *arguments, **named)

        monkeypatch.setattr(Path, "open", opened)
        return refused

    return refuse


@pytest.mark.parametrize("ending", ("ply", "obj", "off", "stl", "glb"))
def test_a_mesh(tmp_path, refuse, ending):
    path = refuse(write_mesh(tmp_path / f"a.{ending}", BOX.vertices, np.asarray(BOX.faces)))
    with pytest.raises(FileError, match="Permission denied") as caught:
        read_mesh(path)
    assert str(caught.value).startswith(f"{path}: cannot be read")


@pytest.mark.parametrize("ending", ("ply", "xyz", "pcd", "npy"))
def test_a_cloud_in_a_folder(tmp_path, refuse, ending):
    write_clouds(tmp_path / "first.npy", BOX.vertices)
    (path,) = write_clouds(tmp_path / f"second.{ending}", BOX.vertices)
    refuse(path)
    with pytest.raises(FileError) as caught:
        read_clouds(tmp_path)
    assert str(caught.value) == f"{path}: cannot be read (Permission denied)"


def test_whether_it_is_a_mesh(tmp_path, refuse):
    path = refuse(write_mesh(tmp_path / "a.ply", BOX.vertices, np.asarray(BOX.faces)))
    with pytest.raises(FileError, match="Permission denied"):
        is_mesh(path)


def test_an_array(tmp_path, refuse):
    np.save(tmp_path / "a.npy", BOX.vertices)
    with pytest.raises(FileError, match="Permission denied"):
        read_array(refuse(tmp_path / "a.npy"))


def test_a_folder_that_may_not_be_entered(tmp_path, monkeypatch):
    def stat(path, **named):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(FileError, match="Permission denied"):
        read_mesh(tmp_path / "a.ply")
