"""What a person names on the command line: a run, a file or folder of clouds, or meshes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = ["Shapes", "is_run", "label_of", "read_shapes", "torch_device"]

MESH_POINTS = 2048  # drawn from a mesh where nothing else is asked for: the field's usual number


@dataclass(frozen=True)
class Shapes:
    """Clouds with their names; `points[i]` is (N_i, 3) float32, data units of its file.

    `normals[i]`, of the same shape and of length 1, are there where the points come from meshes.
    """

    ids: list[str]
    points: list[np.ndarray]
    normals: list[np.ndarray] | None = None

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
) -> Shapes:
    """Read clouds, and sample meshes by area, from a file or a folder.

    Args:
        path: file or folder.
        num_points: draw this many points of each; None keeps clouds as they are.
        seed: of the draws, which depend on it and the shape's place alone. Two numbers: the second
            says which of several inputs this is, so that like shapes are not drawn alike.
        whole: keep clouds as they are where all have equally many points.

    Raises:
        ValueError: Nothing is there, or something in it cannot be used.
    """
    import numpy as np

    from pointgen.files import is_mesh, read_clouds
    from pointgen.geometry.sampling import resample

    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    seeds = seed if isinstance(seed, tuple) else (seed,)
    meshes = _meshes(path)
    if path.is_file() and is_mesh(path):
        meshes = [path]
    if meshes:
        count = num_points or MESH_POINTS
        drawn = [_sampled(mesh, count, (*seeds, i)) for i, mesh in enumerate(meshes)]
        root = path if path.is_dir() else path.parent
        ids = [mesh.relative_to(root).with_suffix("").as_posix() for mesh in meshes]
        return Shapes(ids, [points for points, _ in drawn], [normals for _, normals in drawn])
    found = read_clouds(path)
    clouds = [cloud.points for cloud in found]
    alike = len({len(points) for points in clouds}) == 1
    if num_points is not None and not (whole and alike):
        for index, cloud in enumerate(found):
            if len(cloud.points) < num_points:
                raise ValueError(
                    f"{path}: {cloud.id} has {len(cloud.points)} points, {num_points} are wanted"
                )
            clouds[index] = resample(
                cloud.points, num_points, np.random.default_rng((*seeds, index))
            )
    return Shapes([cloud.id for cloud in found], clouds)


def torch_device(name: str) -> str:
    """Turn auto, cpu or cuda into a device that is there.

    Raises:
        ValueError: cuda was asked for where there is none.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this machine or this torch has no CUDA")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def _meshes(folder: Path) -> list[Path]:
    from pointgen.files import is_mesh

    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and is_mesh(path)]


def _sampled(path: Path, count: int, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return points and their normals, both (count, 3)."""
    import numpy as np

    from pointgen.files import read_mesh
    from pointgen.geometry.sampling import normals_of_draw, sample_surface

    mesh = read_mesh(path)
    surface = (mesh.vertices, mesh.faces, count)
    points = sample_surface(*surface, np.random.default_rng(seed))
    return points, normals_of_draw(*surface, np.random.default_rng(seed))
