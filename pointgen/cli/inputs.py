"""What a person names on the command line: a run, a file or folder of clouds, or meshes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pointgen.cli.console import say
from pointgen.cli.together import first

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pointgen.files import Cloud, Surface

__all__ = [
    "MESH_POINTS",
    "Shapes",
    "draw_cloud",
    "is_run",
    "label_of",
    "read_shapes",
    "thin_cloud",
]

MESH_POINTS = 2048  # drawn from a mesh where nothing else is asked for: the field's usual number


@dataclass(frozen=True)
class Shapes:
    """Clouds with their names.

    Attributes:
        ids: of each shape.
        points: of each shape, (N_i, 3) float32, data units of its file.
        normals: (N_i, 3), of length 1, of shapes from meshes; None for clouds.
        colours: (N_i, 3) uint8, None in the place of a shape without; None if all are without.
        labels: (N_i,) int64, of parts or classes, likewise; meshes have none.
        surfaces: vertices (V_i, 3) and triangles (F_i, 3) of shapes from meshes, where asked for.
    """

    ids: list[str]
    points: list[np.ndarray]
    normals: list[np.ndarray] | None = None
    colours: list[np.ndarray | None] | None = None
    labels: list[np.ndarray | None] | None = None
    surfaces: list[tuple[np.ndarray, np.ndarray]] | None = None

    def stacked(self, what: str) -> Tensor:
        """Return the clouds as one tensor (S, N, 3).

        Raises:
            ValueError: They differ in their number of points.
        """
        import numpy as np
        import torch

        counts = sorted({len(cloud) for cloud in self.points})
        if len(counts) > 1:
            raise ValueError(
                f"{what}: clouds have {counts[0]} to {counts[-1]} points; choose with --points"
            )
        return torch.from_numpy(np.stack(self.points))


def is_run(path: Path) -> bool:
    """Whether a path names a run rather than shapes."""
    return path.suffix == ".safetensors" or (path / "config.toml").is_file()


def label_of(run: Path, category: str) -> int:
    """Return the label of a category that a run's model was told by name.

    Raises:
        ValueError: It was not told that one.
    """
    from pointgen.training.checkpoint import read_run

    known = read_run(run).model.categories
    if category not in known:
        told = f"one of {', '.join(known)}" if known else "a model that was told categories"
        raise ValueError(f"--category {category}: expected {told}")
    return known.index(category)


def read_shapes(
    path: Path,
    *,
    num_points: int | None = None,
    seed: int | tuple[int, int] = 0,
    whole: bool = False,
    surfaces: bool = False,
) -> Shapes:
    """Read clouds, or sample meshes by area, from a file or a folder.

    Of a folder that holds meshes, files of points are left out, with a count on stderr: they may be
    the same shapes once more. Hidden files are no part of a folder.

    Args:
        path: file or folder.
        num_points: draw this many points of each; None keeps clouds as they are.
        seed: of the draws, which depend on it and the shape's place alone. Two numbers: the second
            says which of several inputs this is, so that like shapes are not drawn alike.
        whole: keep clouds as they are where all have equally many points.
        surfaces: keep the surfaces of meshes, which may be much larger than the clouds.

    Raises:
        ValueError: Nothing is there, or something in it cannot be used.
    """
    from pointgen.files import is_mesh, read_clouds, read_surface
    from pointgen.files.read import labels_of

    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    seeds = seed if isinstance(seed, tuple) else (seed,)
    meshes = _meshes(path)
    if path.is_file() and is_mesh(path):
        meshes = [path]
    if meshes:
        count = num_points or MESH_POINTS
        root = path if path.is_dir() else path.parent
        ids = labels_of([mesh.relative_to(root) for mesh in meshes])
        kept: list[tuple[np.ndarray, np.ndarray]] = []
        drawn: list[Cloud] = []
        for index, mesh in enumerate(meshes):
            surface = read_surface(mesh)
            drawn.append(draw_cloud(ids[index], surface, count, (*seeds, index)))
            kept += [(surface.vertices, surface.faces)] if surfaces else []
        return Shapes(
            ids,
            [cloud.points for cloud in drawn],
            [cloud.normals for cloud in drawn if cloud.normals is not None],
            _any([cloud.colours for cloud in drawn]),
            surfaces=kept if surfaces else None,
        )
    clouds = read_clouds(path)
    alike = len({len(cloud.points) for cloud in clouds}) == 1
    if num_points is not None and not (whole and alike):
        clouds = [
            thin_cloud(path, cloud, num_points, (*seeds, i)) for i, cloud in enumerate(clouds)
        ]
    return Shapes(
        [cloud.id for cloud in clouds],
        [cloud.points for cloud in clouds],
        colours=_any([cloud.colours for cloud in clouds]),
        labels=_any([cloud.labels for cloud in clouds]),
    )


def draw_cloud(id: str, surface: Surface, count: int, seed: tuple[int, ...]) -> Cloud:
    """Draw points of a surface by area, with normals, and with colours where the surface has them.

    Normals are those of the faces; colours lie between those of a face's vertices.
    """
    import numpy as np

    from pointgen.files import Cloud
    from pointgen.geometry.sampling import normals_at, spots_on, values_at

    spots = spots_on(surface.vertices, surface.faces, count, np.random.default_rng(seed))
    points = values_at(spots, surface.vertices).astype(np.float32)
    normals, colours = normals_at(spots, surface.vertices), None
    if surface.colours is not None:
        colours = np.round(values_at(spots, surface.colours)).astype(np.uint8)
    # What was wrong with the normals of vertices is no matter of these.
    left_out = tuple(reason for reason in surface.left_out if not reason.startswith("normals"))
    return Cloud(id, points, normals, colours, left_out=left_out)


def thin_cloud(path: Path, cloud: Cloud, count: int, seed: tuple[int, ...]) -> Cloud:
    """Return a random part of the points of a cloud, with what is known of them.

    Raises:
        ValueError: There are fewer; the message names `path`.
    """
    from dataclasses import replace

    import numpy as np

    from pointgen.geometry.sampling import resample

    size = len(cloud.points)
    if size < count:
        raise ValueError(f"{path}: {cloud.id} has {size} points, {count} are wanted")
    rows = resample(np.arange(size)[:, None], count, np.random.default_rng(seed))[:, 0]
    normals, colours, labels = (
        None if array is None else array[rows]
        for array in (cloud.normals, cloud.colours, cloud.labels)
    )
    return replace(
        cloud, points=cloud.points[rows], normals=normals, colours=colours, labels=labels
    )


def _meshes(folder: Path) -> list[Path]:
    """Return the meshes of a folder, and say how many files of points lie beside them."""
    from pointgen.files import is_cloud, is_mesh
    from pointgen.files.read import shown

    if not folder.is_dir():
        return []
    files = [path for path in shown(folder) if path.is_file()]
    meshes = [path for path in files if is_mesh(path)]
    others = sum(map(is_cloud, set(files) - set(meshes)))
    if meshes and others and first():
        say(f"{folder}: holds meshes, so {others} files of points are left out")
    return meshes


def _any(arrays: list[np.ndarray | None]) -> list[np.ndarray | None] | None:
    return arrays if any(array is not None for array in arrays) else None
