"""`pointgen mesh`: surfaces through the points of clouds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pointgen.cli.console import check_free, print_json, progress, say
from pointgen.cli.inputs import is_run
from pointgen.cli.looks import looked_up
from pointgen.cli.options import Device, Force, Json, OptionalPoints, Seed

if TYPE_CHECKING:
    from pointgen.files import Cloud, Surface

__all__ = ["mesh"]

Method = Literal["poisson", "pivot", "alpha"]
To = Literal["ply", "obj", "glb", "stl", "off"]


def mesh(
    inputs: Annotated[
        list[Path], typer.Argument(help="Clouds, folders of them, or runs (new samples).")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="A file .ply .obj .glb .stl .off for one cloud, or a folder."
        ),
    ],
    method: Annotated[
        Method,
        typer.Option(
            help="poisson: smooth, closes small gaps. pivot: a ball rolls over the points, which "
            "are the vertices. alpha: the outside of clouds that are filled, or of thin plates."
        ),
    ] = "poisson",
    watertight: Annotated[
        bool,
        typer.Option("--watertight", help="poisson: close the surface also far from any point."),
    ] = False,
    detail: Annotated[
        float,
        typer.Option(
            min=0.1, max=10.0, help="Above 1 follows the points more closely, below 1 is smoother."
        ),
    ] = 1.0,
    to: Annotated[To | None, typer.Option(help="Format of the files in a folder.")] = None,
    png: Annotated[Path | None, typer.Option(help="Also draw the surfaces, to this file.")] = None,
    points: OptionalPoints = None,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Find surfaces through points, with normals estimated where the files bring none.

    Distances follow from the points' own spacing, so any units will do. Colours go along where the
    format has a place for them.
    """
    check_free(png, force=force, endings=(".png",))
    _check_ending(out, to)
    failed: dict[str, str] = {}
    clouds = [cloud for path in inputs for cloud in _clouds(path, points, seed, device, failed)]
    total = len(clouds) + len(failed)
    if total == 1 and failed:
        raise ValueError(*failed.values())
    for line in failed.values():
        say(line)
    if not clouds:
        raise ValueError(f"none of {total} files can be read")
    targets = _targets(out, clouds, to, force=force)
    made: list[tuple[str, Path, Surface]] = []
    with progress("finding surfaces") as advance:
        for done, (cloud, target) in enumerate(zip(clouds, targets, strict=True), 1):
            try:
                surface = _surface(cloud, method, watertight=watertight, detail=detail)
            except ValueError as error:
                if total == 1:
                    raise ValueError(f"{cloud.id}: {error}") from error
                failed[cloud.id] = str(error)
                say(f"{cloud.id}: {error}")
            else:
                _write(target, surface, force=force)
                made.append((cloud.id, target, surface))
            advance(done, len(clouds))
    if not made:
        raise ValueError(f"none of {total} clouds has a surface")
    if png is not None:
        from pointgen.cli.surface_pictures import save_surfaces

        save_surfaces(png, [surface for _, _, surface in made], [name for name, _, _ in made])
        say(f"picture in {png}")
    if json:
        print_json({"surfaces": [_facts(*each) for each in made], "failed": failed})
    else:
        say(f"surfaces: {len(made)}, in {targets[0] if len(targets) == 1 else out}")
    if failed:
        raise typer.Exit(1)


def _check_ending(out: Path, to: str | None) -> None:
    """Refuse a target of no known format before anything is computed."""
    from pointgen.files import is_mesh_target

    if out.suffix and not out.is_dir():
        if not is_mesh_target(out):
            raise ValueError(f"{out}: expected .ply, .obj, .glb, .stl or .off, or a folder")
        if to is not None and out.suffix.lower() != f".{to}":
            raise ValueError(f"--to {to}: {out} says {out.suffix}; --to is for a folder")


def _clouds(
    path: Path, points: int | None, seed: int, device: str, failed: dict[str, str]
) -> list[Cloud]:
    """Read the clouds of a file or folder, or draw some from a run; note the files that fail."""
    import numpy as np

    from pointgen.cli.convert_places import sources
    from pointgen.cli.inputs import thin_cloud
    from pointgen.files import Cloud, FileError, is_mesh
    from pointgen.files.read import labels_of, merged, read_file

    if is_run(path):
        look = looked_up(path, points=points, seed=seed, device=device, frames=None)
        drawn = [np.asarray(shape.points) for shape in look.shapes]
        return [Cloud(name, cloud) for name, cloud in zip(look.captions, drawn, strict=True)]
    files = sources(path)
    labels = labels_of([file.relative_to(path) for file in files] if path.is_dir() else files)
    parts: dict[str, list[Cloud]] = {}
    for file, label in zip(files, labels, strict=True):
        try:
            if is_mesh(file):
                raise ValueError(f"{file}: is a surface already; `pointgen convert` writes it anew")
            parts[label] = read_file(file, label)
        except FileError as error:
            failed[str(file)] = str(error)
    clouds = merged(path, list(parts.values()), list(parts)) if parts else []
    if points is None:
        return clouds
    return [thin_cloud(path, cloud, points, (seed, i)) for i, cloud in enumerate(clouds)]


def _targets(out: Path, clouds: Sequence[Cloud], to: str | None, *, force: bool) -> list[Path]:
    """Return the file for each cloud, checked.

    Raises:
        ValueError: One file is named for several clouds, or a file exists.
    """
    from pointgen.files import check_mesh_target
    from pointgen.files.write import safe_name

    if out.suffix and not out.is_dir():
        if len(clouds) > 1:
            raise ValueError(
                f"{out}: expected a folder for {len(clouds)} clouds (and --to {out.suffix[1:]})"
            )
        targets = [out]
    else:
        names = [safe_name(cloud.id) for cloud in clouds]
        times = Counter(name.casefold() for name in names)
        numbered = [
            name if times[name.casefold()] == 1 else f"{name}-{place:04d}"
            for place, name in enumerate(names)
        ]
        targets = [out / f"{name}.{to or 'ply'}" for name in numbered]
    for target in targets:
        check_mesh_target(target, force=force)
    return targets


def _surface(cloud: Cloud, method: Method, *, watertight: bool, detail: float) -> Surface:
    """Return the surface of a cloud, each vertex in the colour of the nearest point."""
    from scipy.spatial import cKDTree

    from pointgen.files import Surface
    from pointgen.geometry.surface import surface_of

    vertices, faces = surface_of(
        cloud.points, cloud.normals, method=method, watertight=watertight, detail=detail
    )
    colours = None
    if cloud.colours is not None:
        colours = cloud.colours[cKDTree(cloud.points).query(vertices)[1]]
    return Surface(vertices, faces, colours=colours)


def _write(target: Path, surface: Surface, *, force: bool) -> None:
    from pointgen.files import write_mesh
    from pointgen.files.write_mesh import mesh_carried

    colours = surface.colours if "colours" in mesh_carried(target) else None
    write_mesh(target, surface.vertices, surface.faces, colours=colours, force=force)


def _facts(name: str, target: Path, surface: Surface) -> dict[str, object]:
    """Return what programs may want to know of a surface."""
    import numpy as np
    import trimesh

    body = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    edges = np.bincount(body.edges_unique_inverse)  # how many triangles meet at each
    return {
        "id": name,
        "file": target,
        "vertices": len(surface.vertices),
        "faces": len(surface.faces),
        "closed": bool((edges > 1).all()),
        "manifold": bool((edges <= 2).all()),
        "area": float(body.area),
    }
