"""Models of other projects' codes as ours, and back."""

from pointgen.interop.deduce import Hints
from pointgen.interop.files import (
    Statistics,
    read_checkpoint,
    read_statistics,
    statistics_files,
    write_checkpoint,
    write_statistics,
)
from pointgen.interop.limits import official_options
from pointgen.interop.pointflow import adam_state, from_official, to_official, training_steps

__all__ = [
    "Hints",
    "Statistics",
    "adam_state",
    "from_official",
    "official_options",
    "read_checkpoint",
    "read_statistics",
    "statistics_files",
    "to_official",
    "training_steps",
    "write_checkpoint",
    "write_statistics",
]
