"""`pointgen convert`: clouds and meshes from one format into another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pointgen.cli.console import print_json, progress, say
from pointgen.cli.inputs import MESH_POINTS, draw_cloud, thin_cloud
from pointgen.cli.options import Force, Json, OptionalPoints, Seed

if TYPE_CHECKING:
    from pointgen.files import Cloud, Surface

__all__ = ["convert"]

To = Literal["ply", "xyz", "pcd", "npy", "npz", "h5", "obj", "glb", "stl", "off"]
ONLY_MESHES = (".obj", ".glb", ".stl", ".off")


@dataclass
class Work:
    """What was asked for, and what has come of it.

    Attributes:
        points: how many to draw of each shape; None keeps clouds, and meshes where they can be.
        seed: of the draws.
        force: files may be overwritten.
        shapes: how many are written.
        files: those written.
        left_out: what of the shapes is in no file, and of how many.
        failed: why files of a folder were passed over.
    """

    points: int | None
    seed: int
    force: bool
    shapes: int = 0
    files: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    failed: dict[Path, str] = field(default_factory=dict)

    @contextmanager
    def passing_over(self, file: Path, source: Path) -> Iterator[None]:
        """Note that a file cannot be read, where it is one of a folder."""
        from pointgen.files import FileError

        try:
            yield
        except FileError as error:
            if not source.is_dir() or error.args[0] != file:  # as where there is no room to write
                raise
            self.failed[file] = str(error)

    def remarks(self) -> list[str]:
        """Return what was left out, and of how many shapes."""
        return [
            f"{what} ({count} shape{'s' if count > 1 else ''})"
            for what, count in self.left_out.items()
        ]


def convert(
    source: Annotated[Path, typer.Argument(help="A file of points or a mesh, or a folder.")],
    target: Annotated[
        Path,
        typer.Argument(
            help="A file, whose ending picks the format: .ply .xyz .pcd .npy .npz .h5 for points, "
            ".ply .obj .glb .stl .off for meshes; or a folder (no ending)."
        ),
    ],
    to: Annotated[
        To | None, typer.Option("--to", help="Format of the files in a target folder: ply, ...")
    ] = None,
    points: OptionalPoints = None,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Turn clouds and meshes into another format, with their colours, normals and labels.

    Meshes stay meshes where the format has faces, unless --points asks for points. Of a folder that
    becomes a folder, a file that cannot be read is one line, and the others are written.
    """
    from pointgen.cli.convert_places import check_apart, sources, target_ending

    work = Work(points, seed, force)
    files = sources(source)
    ending = target_ending(target, to)
    check_apart(source, target)
    _check_kinds(files, source, ending, work)
    if target.suffix.lower() == ending and not target.is_dir():
        _into_one_file(files, source, target, work)
    else:
        _into_a_folder(files, source, target, ending, work)
    for line in work.failed.values():
        say(line)
    if not work.shapes:
        raise ValueError(f"none of {len(files)} files can be read")
    if work.left_out:
        say("left out: " + "; ".join(work.remarks()))
    if json:
        failed = {str(file): reason for file, reason in work.failed.items()}
        found = {"files": work.files, "shapes": work.shapes, "left_out": work.remarks()}
        print_json(found | {"failed": failed})
    else:
        say(f"shapes: {work.shapes}, in {target}")
    if work.failed:
        raise typer.Exit(1)


def _check_kinds(files: Sequence[Path], source: Path, ending: str, work: Work) -> None:
    """Refuse points where only a mesh can go."""
    from pointgen.files import is_mesh

    if ending not in ONLY_MESHES:
        return
    if work.points is not None:
        raise ValueError(f"--points: draws points, and {ending} holds meshes only")
    for file in files:
        with work.passing_over(file, source):
            if not is_mesh(file):
                raise ValueError(
                    f"{file}: holds points, and {ending} meshes only; `pointgen mesh` finds a "
                    "surface"
                )


def _into_one_file(files: Sequence[Path], source: Path, target: Path, work: Work) -> None:
    from pointgen.files import check_target
    from pointgen.files.read import labels_of, merged

    if any(_stays_mesh(file, target, work) for file in files):
        if len(files) > 1:
            raise ValueError(
                f"{target}: expected a folder for {len(files)} shapes (and --to "
                f"{target.suffix[1:]}), or --points"
            )
        _write_mesh(files[0], target, work)
        return
    check_target(target, force=work.force)
    labels = labels_of([file.relative_to(source) for file in files] if source.is_dir() else files)
    parts: list[list[Cloud]] = []
    with progress("reading") as advance:
        for done, (file, label) in enumerate(zip(files, labels, strict=True), 1):
            parts.append(_clouds(file, label, work))
            advance(done, len(files))
    clouds = merged(source, parts, labels)
    stem = source.stem if source.is_file() else ""
    _write_clouds(target, clouds, _given_ids(clouds, stem), work)


def _into_a_folder(
    files: Sequence[Path], source: Path, target: Path, ending: str, work: Work
) -> None:
    """Write every file of the source to its place in the target."""
    from pointgen.cli.convert_places import folder_of, places
    from pointgen.files import check_target
    from pointgen.files.write_mesh import check_mesh_target

    targets = dict(zip(files, places(files, source, target, ending), strict=True))
    meshes: dict[Path, bool] = {}
    for file, place in targets.items():
        with work.passing_over(file, source):
            meshes[file] = _stays_mesh(file, place, work)
            (check_mesh_target if meshes[file] else check_target)(place, force=work.force)
    with progress("converting") as advance:
        for done, (file, stays) in enumerate(meshes.items(), 1):
            place = targets[file]
            with work.passing_over(file, source):
                if stays:
                    _write_mesh(file, place, work)
                else:
                    apart = folder_of(place) if source.is_dir() else target
                    _write_file(file, place, apart, work)
            advance(done, len(meshes))


def _write_file(file: Path, place: Path, apart: Path, work: Work) -> None:
    """Write the clouds of a file to a place, or each to a folder where a file holds but one."""
    from pointgen.files.encode import TOGETHER

    clouds, ending = _clouds(file, file.stem, work), place.suffix.lower()
    if len(clouds) == 1 or ending in TOGETHER:
        _write_clouds(place, clouds, _given_ids(clouds, file.stem), work)
    else:
        _write_each(apart, clouds, ending, work)


def _stays_mesh(file: Path, target: Path, work: Work) -> bool:
    from pointgen.files import is_mesh
    from pointgen.files.write_mesh import is_mesh_target

    return work.points is None and is_mesh_target(target) and is_mesh(file)


def _clouds(file: Path, label: str, work: Work) -> list[Cloud]:
    """Read a file's clouds, or draw one of a mesh; the draws depend on the shape's place alone."""
    from pointgen.files import is_mesh, read_surface
    from pointgen.files.read import read_file

    first = work.shapes
    if is_mesh(file):
        clouds = [
            draw_cloud(label, read_surface(file), work.points or MESH_POINTS, (work.seed, first))
        ]
    else:
        clouds = read_file(file, label)
        if work.points is not None:
            clouds = [
                thin_cloud(file, cloud, work.points, (work.seed, first + index))
                for index, cloud in enumerate(clouds)
            ]
    work.shapes += len(clouds)
    return clouds


def _given_ids(clouds: Sequence[Cloud], stem: str) -> list[str] | None:
    """Return the ids, or None where they say no more than the name of the file they come from."""
    ids = [cloud.id for cloud in clouds]
    derived = [stem] if len(ids) == 1 else [f"{stem}-{index:04d}" for index in range(len(ids))]
    return None if ids == derived else ids


def _write_each(folder: Path, clouds: Sequence[Cloud], ending: str, work: Work) -> None:
    """Write a file of each cloud, named by its id."""
    from pointgen.files import check_target
    from pointgen.files.write import safe_name

    check_target(folder, ids=[cloud.id for cloud in clouds], force=True)
    paths = [folder / f"{safe_name(cloud.id)}{ending}" for cloud in clouds]
    for path in paths:
        check_target(path, force=work.force)
    for path, cloud in zip(paths, clouds, strict=True):
        _write_clouds(path, [cloud], None, work)


def _write_clouds(target: Path, clouds: Sequence[Cloud], ids: list[str] | None, work: Work) -> None:
    """Write clouds to one file (or a series), and note what it has no place for."""
    from pointgen.files import write_clouds
    from pointgen.files.encode import TOGETHER
    from pointgen.files.write import carried

    ending = target.suffix.lower()
    for cloud in clouds:
        work.left_out.update(cloud.left_out)
    if ids is not None and ending == ".npy":
        work.left_out[f"ids, which {ending} has no place for"] += len(ids)
    known = {
        "normals": [cloud.normals for cloud in clouds],
        "colours": [cloud.colours for cloud in clouds],
        "labels": [cloud.labels for cloud in clouds],
    }
    for name, arrays in known.items():
        count = sum(array is not None for array in arrays)
        if count and name not in carried(target):
            work.left_out[f"{name}, which {ending} has no place for"] += count
        elif 0 < count < len(clouds) and ending in TOGETHER:
            work.left_out[f"{name}, which only some of the shapes in {target.name} have"] += count
        else:
            continue
        known[name] = [None] * len(clouds)
    work.files += write_clouds(
        target,
        [cloud.points for cloud in clouds],
        ids=ids,
        normals=known["normals"],
        colours=known["colours"],
        labels=known["labels"],
        force=work.force,
    )


def _write_mesh(file: Path, target: Path, work: Work) -> None:
    """Write the mesh of a file, and note what the format has no place for."""
    from pointgen.files import check_mesh_target, read_surface, write_mesh
    from pointgen.files.write_mesh import mesh_carried

    check_mesh_target(target, force=work.force)
    surface = read_surface(file)
    if file.suffix.lower() == ".stl":
        surface = _joined(surface)
    work.left_out.update(surface.left_out)
    known = {"normals": surface.normals, "colours": surface.colours}
    for name, array in known.items():
        if array is not None and name not in mesh_carried(target):
            work.left_out[f"{name}, which {target.suffix.lower()} has no place for"] += 1
    work.files.append(
        write_mesh(target, surface.vertices, surface.faces, **known, force=work.force)
    )
    work.shapes += 1


def _joined(surface: Surface) -> Surface:
    """Give triangles that meet in a place one vertex there; an stl file has three of each."""
    import numpy as np

    from pointgen.files import Surface

    vertices, where = np.unique(surface.vertices, axis=0, return_inverse=True)
    return Surface(vertices, where.reshape(-1)[surface.faces], left_out=surface.left_out)
