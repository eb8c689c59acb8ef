"""The weights of a run on disk: safetensors only, so that a stranger's file cannot run code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pointgen.config import ConfigError, Experiment, read_config
from pointgen.files import atomic
from pointgen.models import PointCloudModel

__all__ = [
    "RunError",
    "check_fit",
    "load",
    "load_weights",
    "parameters_of",
    "read_run",
    "save_weights",
    "solid",
    "step_of",
]


class RunError(ValueError):
    """A run that cannot be used; the message is one line that names the file."""


def load(
    run: Path | str,
    *,
    device: torch.device | str = "cpu",
    weights: Literal["model", "best"] = "model",
) -> PointCloudModel:
    """Load the model of a run in eval mode.

    Args:
        run: a run's folder, or one `.safetensors` file beside its config.toml.
        device: where the model goes.
        weights: `model` is the end of the training, `best` its lowest validation loss.

    Raises:
        RunError: Something is missing, damaged, does not fit the config, or one file is given and
            others are asked for.
    """
    path = Path(run)
    if path.suffix == ".safetensors" and weights != "model":
        raise RunError(f"{path}: expected the run's folder to choose its {weights} weights")
    with torch.random.fork_rng(devices=[]):  # initial weights are random, and overwritten here
        model = read_run(path).model.build()
    load_weights(model, path if path.suffix == ".safetensors" else path / f"{weights}.safetensors")
    return model.to(device).eval()


def read_run(run: Path | str) -> Experiment:
    """Read the config of a run, given by its folder or by a file of weights in it.

    Raises:
        RunError: There is no config, or it is not valid.
    """
    path = Path(run)
    config = (path.parent if path.suffix == ".safetensors" else path) / "config.toml"
    if not config.is_file():
        raise RunError(f"{path}: not a run, there is no {config}")
    try:
        return read_config(config)
    except ConfigError as error:
        raise RunError(str(error)) from error


def save_weights(model: nn.Module, path: Path | str, *, step: int) -> None:
    """Write a model's weights, replacing `path` only when they are complete on disk."""
    # One entry: safetensors writes several in random order, and equal weights in unequal files
    # would make people doubt that a training can be repeated.
    metadata = {"pointgen": json.dumps({"version": version("pointgen"), "step": step})}
    tensors = {name: solid(tensor) for name, tensor in model.state_dict().items()}
    with atomic(Path(path)) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_weights(model: nn.Module, path: Path | str) -> None:
    """Give a model the weights of a file, or of the folder of a run.

    Raises:
        RunError: The file is missing, damaged, or made by another architecture.
    """
    path = Path(path)
    path = path / "model.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise RunError(f"{path}: no such file")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: not a readable safetensors file ({error})") from error
    check_fit(model.state_dict(), tensors, path)
    model.load_state_dict(tensors)


def solid(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU that is contiguous and shares memory with no other tensor."""
    return tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)


def check_fit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> None:
    """Compare names and shapes of weights, and say in one line how those in `path` differ.

    Raises:
        RunError: They differ.
    """
    missing = sorted(wanted.keys() - found.keys())
    surplus = sorted(found.keys() - wanted.keys())
    if missing:
        raise RunError(f"{path}: weights do not fit the model: {_names(missing)} missing")
    if surplus:
        raise RunError(f"{path}: weights do not fit the model: {_names(surplus)} not part of it")
    for name, tensor in wanted.items():
        if tensor.shape != found[name].shape:
            raise RunError(
                f"{path}: weights do not fit the model: {name}: "
                f"expected {tuple(tensor.shape)}, got {tuple(found[name].shape)}"
            )


def _names(names: list[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def step_of(weights: Path) -> int | None:
    """Return the step that a file of weights says it is of."""
    with safe_open(weights, framework="pt") as file:
        noted = (file.metadata() or {}).get("pointgen", "")
    found = re.search(r'"step": (\d+)', noted)
    return int(found[1]) if found else None


def parameters_of(model: nn.Module) -> dict[str, int]:
    """Return how many parameters each part of a model has."""
    return {
        name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
    }
