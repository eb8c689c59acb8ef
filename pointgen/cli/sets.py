"""The two sets of clouds that `pointgen evaluate` compares, and real ones to score beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pointgen.cli.console import refuse
from pointgen.cli.encoding import own_frame
from pointgen.cli.inputs import is_run, label_of, read_shapes
from pointgen.cli.options import Split
from pointgen.cli.sampling import sample, told
from pointgen.cli.together import bar

if TYPE_CHECKING:
    from torch import Tensor

    from pointgen.datasets import CloudDataset
    from pointgen.metrics.units import Units
    from pointgen.models import PointCloudModel
    from pointgen.processes import Share

__all__ = ["Category", "category_of", "check_frames", "generated", "read_set", "real_sets"]


@dataclass(frozen=True)
class Category:
    """The only category that is scored.

    Attributes:
        name: its name.
        label: what the run of the samples calls it; None where samples are not asked for it.
    """

    name: str
    label: int | None


def category_of(samples: Path, reference: Path, name: str | None) -> Category | None:
    """Return what `--category` asks for.

    Raises:
        ValueError: It would change nothing, or the run of the samples was not told it.
    """
    from pointgen.training.checkpoint import read_run

    if name is None:
        return None
    told = is_run(samples) and bool(read_run(samples).model.categories)
    refuse(
        {"--category": not told and not is_run(reference)},
        "expected a run that was told categories, or a run as REFERENCE",
    )
    return Category(name, label_of(samples, name) if told else None)


def check_frames(samples: Path, reference: Path, units: Units) -> None:
    """Refuse two runs whose clouds stand in different frames, unless units undo all frames.

    Raises:
        ValueError: They do.
    """
    from pointgen.training.checkpoint import read_run

    if units != "data" or not (is_run(samples) and is_run(reference)):
        return
    kinds = [read_run(run).data.normalize for run in (samples, reference)]
    if own_frame(kinds[0]) != own_frame(kinds[1]):
        raise ValueError(
            f"{samples} and {reference}: expected clouds in the same frame, got data.normalize = "
            f"{kinds[0]} and {kinds[1]}; --units box, half_box or std brings both to one"
        )


def read_set(path: Path, points: int | None, seed: tuple[int, int]) -> Tensor:
    """Read a set; clouds of equal size stay whole: the sheet thins them, and says so."""
    return read_shapes(path, num_points=points, seed=seed, whole=True).stacked(str(path))


def real_sets(
    reference: Path,
    oracle: str | None,
    split: Split,
    points: int | None,
    category: Category | None,
    seed: int,
) -> tuple[Tensor, Tensor | Literal["half"] | None]:
    """Return the real clouds to compare with, and others to score beside the samples."""
    beside: Tensor | Literal["half"] | None = None
    if oracle == "half":
        beside = "half"
    elif oracle not in (None, "none"):
        beside = read_set(Path(oracle), points, (seed, 2))
    if not is_run(reference):
        clouds = read_set(reference, points, (seed, 1))
        return clouds, "half" if oracle is None and len(clouds) > 3 else beside
    from pointgen.training.checkpoint import read_run

    data = read_run(reference).data
    if points is not None:
        data = data.model_copy(update={"num_points": points})
    shapes = data.build(split)
    clouds = shapes.points_of(_places(shapes, category, reference))
    if oracle is None and split != "train":
        train = data.build("train")
        return clouds, _some(train, _places(train, category, reference), len(clouds), seed)
    return clouds, "half" if oracle is None and len(clouds) > 3 else beside


def generated(
    model: PointCloudModel,
    size: tuple[int, int],
    seed: int,
    category: Category | None,
    guidance: float,
    share: Share,
) -> Tensor:
    """Draw clouds from a run's model, so many of so many points."""
    condition = None
    if category is not None and category.label is not None:
        condition = told(category.label, guidance, model)
    with bar("generating", share) as advance:
        return sample(model, *size, seed=seed, condition=condition, share=share, advance=advance)


def _places(shapes: CloudDataset, category: Category | None, run: Path) -> list[int]:
    """Return where the shapes of a category are, or all.

    Raises:
        ValueError: There are none, or no others, which nobody asks for.
    """
    if category is None:
        return list(range(len(shapes)))
    known = shapes.categories
    if category.name not in known:
        raise ValueError(
            f"--category {category.name}: expected one of {', '.join(known)}, those of {run}"
        )
    refuse(
        {"--category": len(known) == 1 and category.label is None},
        f"{run} has no other, and the samples are not asked for it",
    )
    wanted = known.index(category.name)
    places = [place for place, label in enumerate(shapes.labels) if label == wanted]
    if not places:
        raise ValueError(f"--category {category.name}: {run} has no shapes of it in this split")
    return places


def _some(shapes: CloudDataset, places: list[int], count: int, seed: int) -> Tensor:
    """Return the points of random shapes: the first ones may all be of one category."""
    import numpy as np

    order = np.random.default_rng((seed, 2)).permutation(len(places))
    return shapes.points_of(sorted(places[at] for at in order[:count]))
