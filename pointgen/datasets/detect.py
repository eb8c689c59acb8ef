"""Saying what lies at a path: the config of the data set that is there, and the splits it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pointgen.datasets.cloud_files import CloudFilesConfig
from pointgen.datasets.folders import existing_folder, listing, split_roots
from pointgen.datasets.hdf5 import Hdf5Config
from pointgen.datasets.hdf5_layouts import HDF5_SUFFIXES
from pointgen.datasets.meshes import MeshesConfig
from pointgen.datasets.pc15k import Pc15kConfig
from pointgen.datasets.procedural import ProceduralConfig
from pointgen.datasets.settings import SPLITS, Split
from pointgen.files import MESH_SUFFIXES, FileError, is_mesh
from pointgen.files.read import is_shown

__all__ = ["detect", "splits_of"]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Not .txt, though it is read: most of those beside data are notes.
CLOUD_SUFFIXES = (".ply", ".xyz", ".pts", ".pcd", ".npy", ".npz")


def detect(path: Path) -> Hdf5Config | Pc15kConfig | MeshesConfig | CloudFilesConfig:
    """Return the config, all else being default, of the data set at a path.

    The first of these that fits is taken: an HDF5 file, or a folder with HDF5 files in it; folders
    {train,val,test} with .npy files in them; a folder with meshes anywhere in it; a file of points,
    or a folder with such files anywhere in it, whatever the folders are called. What the files hold
    is not looked at, but in .ply files whether it is faces.

    Raises:
        ValueError: None of them is there; the message says what was found.
    """
    place = path.expanduser()
    if place.is_file() and _is_hdf5(place):
        return Hdf5Config(path=path)
    if place.is_file() and _is_cloud(place):
        return CloudFilesConfig(root=path)
    if place.is_dir():
        if any(file.suffix.lower() in HDF5_SUFFIXES for file in _visible(place)):
            return Hdf5Config(path=path)
        if _has_arrays(place):
            return Pc15kConfig(root=path)
        # a search ends with the first that is one
        if any(map(_is_mesh, _below(place))):
            return MeshesConfig(root=path)
        if any(map(_is_cloud, _below(place))):
            return CloudFilesConfig(root=path)
    expected = (
        "expected an HDF5 file (.h5, .hdf5) or a folder of them, a folder of "
        f"<class>/{{train,val,test}}/<id>.npy, a folder of meshes ({', '.join(MESH_SUFFIXES)}), "
        f"or a file or folder of points ({', '.join(CLOUD_SUFFIXES)})"
    )
    raise ValueError(f"{path}: {expected}, found {_found(place)}")


def splits_of(
    config: Hdf5Config | Pc15kConfig | MeshesConfig | CloudFilesConfig | ProceduralConfig,
) -> list[Split]:
    """Return the splits that the data of a config have themselves, without a stand-in for val.

    Meshes that no folder divides have those splits whose fraction is above 0.

    Raises:
        ValueError: The data are not there.
    """
    match config:
        case Hdf5Config():
            return config.splits()
        case Pc15kConfig():
            return _folders(existing_folder(config.root, "categories"))
        case MeshesConfig():
            shares = zip(SPLITS, config.splits, strict=True)
            divided = _folders(existing_folder(config.root, "meshes"))
            return divided or [split for split, share in shares if share > 0]
        case CloudFilesConfig():
            config.place()
            shares = zip(SPLITS, config.splits, strict=True)
            return [split for split, share in shares if share > 0]
        case ProceduralConfig():
            return list(SPLITS)


def _folders(root: Path) -> list[Split]:
    """The splits that some category has a folder of."""
    categories = split_roots(root).values()
    return [split for split in SPLITS if any((folder / split).is_dir() for folder in categories)]


def _is_hdf5(file: Path) -> bool:
    if file.suffix.lower() in HDF5_SUFFIXES:
        return True
    with file.open("rb") as handle:
        return handle.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE


def _has_arrays(folder: Path) -> bool:
    return any(
        file.suffix == ".npy"
        for category in split_roots(folder).values()
        for split in SPLITS
        if (category / split).is_dir()
        for file in _visible(category / split)
    )


def _below(folder: Path) -> Iterator[Path]:
    """Yield what lies in a folder at any depth, without what is hidden."""
    for path in folder.rglob("*"):
        if is_shown(folder, path):
            yield path


def _is_mesh(file: Path) -> bool:
    if file.suffix.lower() != ".ply":
        return file.suffix.lower() in MESH_SUFFIXES
    try:
        return is_mesh(file)
    except FileError:  # the others say what it should have been
        return False


def _is_cloud(file: Path) -> bool:
    return file.suffix.lower() in CLOUD_SUFFIXES and not _is_mesh(file)


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]


def _found(place: Path) -> str:
    if place.is_dir():
        return f"a folder with {listing(place)}"
    return "another file" if place.exists() else "nothing"
