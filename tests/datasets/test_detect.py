import h5py
import numpy as np
import pytest

from pointgen.datasets import (
    CloudFilesConfig,
    Hdf5Config,
    MeshesConfig,
    Pc15kConfig,
    ProceduralConfig,
    detect,
    splits_of,
)
from pointgen.files import write_clouds, write_mesh


def write_h5(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((2, 9, 3), np.float32)


@pytest.mark.parametrize("name", ["shapenet.hdf5", "mine.H5", "without_ending"])
def test_a_file_of_hdf5(tmp_path, name):
    write_h5(tmp_path / name)
    assert detect(tmp_path / name) == Hdf5Config(path=tmp_path / name)


def test_a_folder_of_hdf5(tmp_path):
    write_h5(tmp_path / "train0.h5")
    (tmp_path / "shape_names.txt").write_text("a\n")
    assert detect(tmp_path) == Hdf5Config(path=tmp_path)
    assert splits_of(detect(tmp_path)) == ["train"]


@pytest.mark.parametrize("category", ["02691156", "."])
def test_clouds_in_folders_of_splits(tmp_path, write_cloud, category):
    write_cloud(tmp_path / category / "train" / "a.npy")
    write_cloud(tmp_path / category / "test" / "b.npy")
    assert detect(tmp_path) == Pc15kConfig(root=tmp_path)
    assert splits_of(detect(tmp_path)) == ["train", "test"]


@pytest.mark.parametrize(
    "mesh",
    [
        "02691156/1a2b/model.obj",
        "02691156/1a2b/models/model_normalized.obj",
        "sofa/train/sofa_0001.off",
        "a/b/c/mine.STL",
        "cube.glb",
        "cube.gltf",
    ],
)
def test_meshes_at_any_depth(tmp_path, mesh):
    (tmp_path / mesh).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / mesh).touch()
    assert detect(tmp_path) == MeshesConfig(root=tmp_path)


@pytest.mark.parametrize(
    "name", ["clouds", "deep/er/clouds", "a.ply", "a.xyz", "a.PCD", "a.npy", "a.npz", "train/a.ply"]
)
def test_clouds_at_any_depth(tmp_path, name):
    clouds = np.random.default_rng(0).normal(size=(3, 40, 3))
    written = write_clouds(tmp_path / name, clouds)
    assert detect(tmp_path) == CloudFilesConfig(root=tmp_path)
    assert detect(written[0]) == CloudFilesConfig(root=written[0])


def test_a_ply_is_what_it_holds(tmp_path):
    write_clouds(tmp_path / "clouds", np.eye(3)[None])
    (tmp_path / "clouds" / "damaged.ply").write_bytes(b"plx")
    assert detect(tmp_path) == CloudFilesConfig(root=tmp_path)
    write_mesh(tmp_path / "meshes" / "a.ply", np.eye(3), np.array([[0, 1, 2]]))
    assert detect(tmp_path) == MeshesConfig(root=tmp_path)
    with pytest.raises(ValueError, match="found another file"):
        detect(tmp_path / "meshes" / "a.ply")


def test_splits_of_meshes_are_folders_or_fractions(tmp_path, write_mesh):
    write_mesh(tmp_path / "any" / "a.obj")
    whole = MeshesConfig(root=tmp_path / "any", splits=(0.9, 0.0, 0.1))
    assert splits_of(whole) == ["train", "test"]
    write_mesh(tmp_path / "modelnet" / "sofa" / "train" / "a.off")
    assert splits_of(MeshesConfig(root=tmp_path / "modelnet")) == ["train"]
    assert splits_of(ProceduralConfig()) == ["train", "val", "test"]


def test_built_in_shapes_that_were_written_are_meshes_and_points(tmp_path, write_mesh, write_cloud):
    write_mesh(tmp_path / "chair" / "train" / "chair_0.off")
    write_cloud(tmp_path / "points" / "chair" / "train" / "chair_0.npy")
    assert detect(tmp_path).kind == "meshes"
    assert detect(tmp_path / "points").kind == "pc15k"


def test_anything_else_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere: expected an HDF5 file .*, found nothing$"):
        detect(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"found a folder with notes\.txt"):
        detect(tmp_path)
    with pytest.raises(ValueError, match=r"notes.txt: expected .*, found another file"):
        detect(tmp_path / "notes.txt")
    for hidden in (".trash/a.obj", ".b.h5"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).touch()
    with pytest.raises(ValueError, match="expected an HDF5 file"):
        detect(tmp_path)
    for config in (Hdf5Config, Pc15kConfig, MeshesConfig):
        key = "path" if config is Hdf5Config else "root"
        with pytest.raises(ValueError, match=f"^data.{key}: "):
            splits_of(config(**{key: tmp_path / "nowhere"}))
