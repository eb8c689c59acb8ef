"""Finding the pictures that a person names, and preparing them as a network was trained to see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pointgen.cli.console import say

if TYPE_CHECKING:
    import numpy as np

    from pointgen.datasets.renderings.pictures import Look

__all__ = ["Photo", "PhotoFile", "are_photos", "masks_of", "photo_files", "prepared"]

TEXT = ".txt"  # may be anything, such as what is known of the pictures beside it


@dataclass(frozen=True)
class PhotoFile:
    """A picture that was named, or that lies in a folder that was.

    Attributes:
        id: its name, different from all others.
        name: its path without ending below the folder that was named; pictures may share it.
        path: where it lies.
    """

    id: str
    name: str
    path: Path


@dataclass(frozen=True)
class Photo:
    """A picture as the network sees it, (3, S, S) in [0, 1], with its name."""

    id: str
    image: np.ndarray


def are_photos(inputs: Sequence[Path], *, wanted: bool) -> bool:
    """Whether inputs are pictures, rather than clouds or meshes.

    What is missing or of no known kind goes with the rest, to be told when it is read.

    Args:
        inputs: files and folders.
        wanted: whether the run takes pictures, which decides for what could be either.

    Raises:
        ValueError: Some are pictures and some are clouds.
    """
    kinds = [_kind(path) for path in inputs]
    known = {kind: path for kind, path in zip(kinds, inputs, strict=True) if kind != "unclear"}
    if len(known) > 1:
        pair = f"{known['pictures']} and {known['shapes']}"
        raise ValueError(f"{pair}: expected either pictures or clouds")
    if known:
        return "pictures" in known
    return wanted and any(path.suffix.lower() != TEXT for path in inputs)


def photo_files(inputs: Sequence[Path]) -> list[PhotoFile]:
    """Return all pictures of files and folders; a folder without any comes as it is, to be told.

    Ids are the names. Where several are the same, their endings and then the places of their inputs
    tell them apart.
    """
    found = []  # place of the input, name, ending, path
    for place, path in enumerate(inputs):
        inside = _pictures_below(path)
        for file in inside or [path]:
            below = file.relative_to(path if inside else path.parent)
            found.append((place, below.with_suffix("").as_posix(), file.suffix, file))
    names = Counter(name for _, name, _, _ in found)
    longer = [name if names[name] == 1 else name + ending for _, name, ending, _ in found]
    again = Counter(longer)
    return [
        PhotoFile(id if again[id] == 1 else f"{place}/{id}", name, file)
        for id, (place, name, _, file) in zip(longer, found, strict=True)
    ]


def masks_of(files: Sequence[PhotoFile], mask: Path | None) -> dict[str, Path]:
    """Return the mask of each picture that has one, by the picture's id.

    Raises:
        ValueError: One mask for several pictures, or a folder in which none is named as a picture.
    """
    from pointgen.images import is_image

    if mask is None:
        return {}
    if mask.is_dir():
        below = _pictures_below(mask)
        masks = {path.relative_to(mask).with_suffix("").as_posix(): path for path in below}
        chosen = {file.id: masks[file.name] for file in files if file.name in masks}
        if not chosen:
            raise ValueError(f"--mask {mask}: expected masks with the names of the pictures")
        return chosen
    if len(files) > 1:
        raise ValueError(f"--mask {mask}: expected a folder of masks for {len(files)} pictures")
    if not is_image(mask):
        raise ValueError(f"--mask {mask}: expected a picture or a folder of them")
    return {files[0].id: mask}


def prepared(files: Sequence[PhotoFile], look: Look, masks: dict[str, Path]) -> list[Photo]:
    """Read pictures as in evaluation; say which cannot be used, and which have no background."""
    from pointgen.images import background_found, framed, read_image

    photos, whole = [], []
    background = look.background or (1.0, 1.0, 1.0)
    for file in files:
        try:
            rgba = read_image(file.path, masks.get(file.id))
            image = framed(rgba, look.size, crop=look.crop, background=background)
        except ValueError as error:
            say(f"error: {error}")
            continue
        photos.append(Photo(file.id, image))
        if not background_found(rgba):
            whole.append(str(file.path))
    if whole:
        others = f" (and {len(whole) - 1} more)" if len(whole) > 1 else ""
        say(
            f"warning: {whole[0]}{others}: no background was found, so the whole picture is used; "
            "--mask says where the object is"
        )
    return photos


def _kind(path: Path) -> Literal["pictures", "shapes", "unclear"]:
    """Return what a file is by its ending, or what a folder holds."""
    from pointgen.files import is_cloud, is_mesh
    from pointgen.images import is_image

    files = _shown(path) if path.is_dir() else [path]
    # Pictures beside meshes are their textures.
    if any(map(is_mesh, files)):
        return "shapes"
    pictures = any(map(is_image, files))
    endings = {file.suffix.lower() for file in files if is_cloud(file)}
    if pictures or not path.is_dir():
        endings.discard(TEXT)
    if pictures == bool(endings):
        return "unclear"
    return "pictures" if pictures else "shapes"


def _pictures_below(path: Path) -> list[Path]:
    """Return the pictures of a folder; none of a file."""
    from pointgen.images import is_image

    return [file for file in _shown(path) if is_image(file)]


def _shown(folder: Path) -> list[Path]:
    """Return the files of a folder and its subfolders that are not hidden."""
    from pointgen.files.read import shown

    return [path for path in shown(folder) if path.is_file()]
