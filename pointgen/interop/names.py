"""The official PointFlow's names of tensors beside ours, as one table for both directions.

Official names are those without the `module.` that DataParallel puts between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pointgen.models import PointFlowConfig
from pointgen.models.cnf import CnfConfig
from pointgen.networks import ConcatSquashConfig, PointNetConfig

__all__ = ["ENCODER", "LEVELS", "ROLES", "counters", "names"]

ENCODER = PointNetConfig(widths=(128, 128, 256, 512), head=(256, 128))
"""The one encoder that the official code has; only the size of its output varies."""

LEVELS = MappingProxyType({"encoder": "encoder", "point_cnf": "points", "latent_cnf": "prior"})
"""The three parts of the model, by their official names."""

ROLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "concatsquash": {"_layer": "linear", "_hyper_bias": "shift", "_hyper_gate": "gate"},
        "concatscale": {"_layer": "linear", "_hyper_bias": "shift", "_hyper_gate": "gate"},
        "concat_v2": {"_layer": "linear", "_hyper_bias": "shift"},
        "squash": {"_layer": "linear", "_hyper": "gate"},
        "scale": {"_layer": "linear", "_hyper": "gate"},
        "ignore": {"_layer": "linear"},
    }
)
"""The linear maps inside a layer of each type that the official code can run. Of types with the
same names, the official default or the like of it comes first."""

LINEAR = ("weight", "bias")
NORM = ("weight", "bias", "running_mean", "running_var")
NORM_COUNTED = (*NORM, "num_batches_tracked")


def names(config: PointFlowConfig) -> dict[str, str]:
    """Return official name -> our name of every tensor that both models have."""
    table = _encoder(config)
    for level, flow in _flows(config).items():
        table |= _flow(level, flow)
    return table


def counters(config: PointFlowConfig) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of the official tensors that count, and that we do not have."""
    table: dict[str, tuple[int, ...]] = {}
    for level, flow in _flows(config).items():
        table |= {f"{level}.chain.{i}.odefunc._num_evals": () for i in _solved(flow)}
        table |= {f"{level}.chain.{i}.step": (1,) for i in _normed(flow)}
    return table


def _flows(config: PointFlowConfig) -> dict[str, CnfConfig]:
    flows = {"point_cnf": config.points, "latent_cnf": config.prior}
    return {level: flow for level, flow in flows.items() if isinstance(flow, CnfConfig)}


def _solved(flow: CnfConfig) -> range:
    """Return the places of the CNFs in a chain: norm, CNF, norm, CNF, norm, or CNFs only."""
    return range(1, 2 * flow.blocks, 2) if flow.batch_norm else range(flow.blocks)


def _normed(flow: CnfConfig) -> range:
    return range(0, 2 * flow.blocks + 1, 2) if flow.batch_norm else range(0)


def _encoder(config: PointFlowConfig) -> dict[str, str]:
    table: dict[str, str] = {}
    for index in range(len(ENCODER.widths)):  # ours: linear map, norm, ReLU; no ReLU at the end
        table |= _same(f"encoder.conv{index + 1}", f"encoder.trunk.{3 * index}", LINEAR)
        table |= _same(f"encoder.bn{index + 1}", f"encoder.trunk.{3 * index + 1}", NORM_COUNTED)
    suffixes = ("",) if config.posterior == "deterministic" else ("_m", "_v")
    last = len(ENCODER.head)
    for head, suffix in enumerate(suffixes):
        own = f"encoder.heads.{head}"
        for index in range(last):
            bn = f"encoder.fc_bn{index + 1}{suffix}"
            table |= _same(f"encoder.fc{index + 1}{suffix}", f"{own}.0.{3 * index}", LINEAR)
            table |= _same(bn, f"{own}.0.{3 * index + 1}", NORM_COUNTED)
        table |= _same(f"encoder.fc{last + 1}{suffix}", f"{own}.1", LINEAR)
    return table


def _flow(level: str, flow: CnfConfig) -> dict[str, str]:
    own = f"{LEVELS[level]}.transform.transforms"
    units = 1 if level == "point_cnf" else 0  # our first transform of the points is their units
    table: dict[str, str] = {}
    for index in _normed(flow):
        table |= _same(f"{level}.chain.{index}", f"{own}.{index + units}", NORM)
    for index in _solved(flow):
        assert isinstance(flow.field, ConcatSquashConfig), "checked before names are asked for"
        table |= _field(f"{level}.chain.{index}", f"{own}.{index + units}.field", flow.field)
    return table


def _field(official: str, own: str, field: ConcatSquashConfig) -> dict[str, str]:
    table = {}
    if field.train_end_time:
        table[f"{official}.sqrt_end_time"] = f"{own}.sqrt_end_time"
    for index in range(len(field.dims) + 1):
        layer = f"{official}.odefunc.diffeq.layers.{index}"
        for theirs, ours in ROLES[field.layer].items():
            parts = LINEAR if ours != "shift" else ("weight",)
            table |= _same(f"{layer}.{theirs}", f"{own}.layers.{index}.{ours}", parts)
    if field.nonlinearity == "swish":
        for index in range(len(field.dims)):
            beta = f"{official}.odefunc.diffeq.activation_fns.{index}.beta"
            table[beta] = f"{own}.activations.{index}.beta"
    return table


def _same(official: str, own: str, parts: tuple[str, ...]) -> dict[str, str]:
    return {f"{official}.{part}": f"{own}.{part}" for part in parts}
