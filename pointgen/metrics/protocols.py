"""How published tables were made: which split, which units, which distances.

Numbers of two protocols cannot be compared. Each is what its authors' released code does, with the
distances that it is named for; scores and their definitions are the same in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pointgen.metrics.units import Units

__all__ = ["PROTOCOLS", "PublishedProtocol"]


@dataclass(frozen=True)
class PublishedProtocol:
    """One way of scoring.

    Attributes:
        split: of the data set that is held out.
        points: of each cloud: the first so many of a reference's second pool.
        units: what every cloud is brought to before any distance.
        distances: keys of `DISTANCES`.
        source: whose it is, and what a reader should know.
    """

    split: Literal["val", "test"]
    points: int
    units: Units
    distances: tuple[str, ...]
    source: str


PROTOCOLS = {
    "pointflow": PublishedProtocol(
        "val", 2048, "data", ("CD", "EMD-pointflow"),
        "Yang et al. 2019, released code: validation split, data units, EMD by soft matching",
    ),
    "lion": PublishedProtocol(
        "val", 2048, "data", ("CD", "EMD-pvd"),
        "Zeng et al. 2022, table 1: validation split, data units, squared EMD by soft matching",
    ),
    "lion-box": PublishedProtocol(
        "val", 2048, "half_box", ("CD", "EMD-pvd"),
        "Zeng et al. 2022, table 2: each cloud's own box from -0.5 to 0.5 before the distances",
    ),
    "dpm": PublishedProtocol(
        "test", 2048, "box", ("CD",),
        "Luo and Hu 2021, released code: test split, each cloud's own box from -1 to 1; its EMD is "
        "constant zero and left out",
    ),
}  # fmt: skip
