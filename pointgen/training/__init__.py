"""Training: the loop, what it keeps in a run's folder, and loading that again."""

from pointgen.training.checkpoint import RunError, load, load_weights, read_run, save_weights
from pointgen.training.log import TrainingError
from pointgen.training.loop import Result
from pointgen.training.progress import Reporter, Silent, reporter
from pointgen.training.start import train

__all__ = [
    "Reporter",
    "Result",
    "RunError",
    "Silent",
    "TrainingError",
    "load",
    "load_weights",
    "read_run",
    "reporter",
    "save_weights",
    "train",
]
