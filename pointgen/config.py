"""An experiment is one TOML file: a model, its data, and how to train; read strictly."""

from __future__ import annotations

import difflib
import reprlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_type_hints

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from pointgen.datasets import DataConfig, PairsConfig, RenderingsConfig
from pointgen.files import atomic
from pointgen.models import (
    CFlowConfig,
    HybridConfig,
    InterpretationConfig,
    IRevNetConfig,
    IRIMConfig,
    ModelConfig,
    PointFlowConfig,
)

__all__ = ["ConfigError", "Experiment", "TrainConfig", "read_config", "write_config"]

SCALARS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
_Config = TypeVar("_Config", bound=BaseModel)
Share = Annotated[float, Field(ge=0, lt=1)]


class ConfigError(ValueError):
    """A config that cannot be used; the message is one line that names the file and the key."""


class TrainConfig(BaseModel):
    """How a model is trained. A step is one update of the weights from one batch."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    steps: PositiveInt | None = None
    """Length of the training in steps; give this or `epochs`."""
    epochs: PositiveInt | None = None
    """Length of the training in passes over the training set; give this or `steps`."""
    batch_size: PositiveInt = 32
    """Shapes of a step, over all processes together."""
    lr: PositiveFloat = 1e-3
    """Learning rate before the schedule's factor."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    """Adam's decay rates of the gradient's first and second moment."""
    eps: PositiveFloat = 1e-8
    """Adam's guard against division by zero."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay (AdamW); 0 is plain Adam."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """`linear` is PointFlow's: constant, then linearly to zero over the second half."""
    warmup: NonNegativeInt = 0
    """Steps over which the learning rate first rises from zero."""
    clip_norm: NonNegativeFloat = 1.0
    """Largest norm of the whole gradient; 0 leaves it as it is."""
    ema: Share = 0.999
    """Decay of the averaged weights, which are those used after training; 0 is off."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Number format of the forward pass (automatic mixed precision)."""
    compile: bool = False
    """Compile the velocity fields that matching trains, with `torch.compile`, which takes a minute.
    It is meant for GPUs; a CPU needs a C++ compiler for it, and gains next to nothing."""
    tf32: bool = False
    """Let CUDA multiply and convolve fp32 at TensorFloat-32 precision."""
    workers: NonNegativeInt = 0
    """Processes that prepare data beside the training; the result does not depend on it."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Fixes the initial weights, the order and draws of the data, and all noise."""
    log_every: PositiveInt = 50
    """Steps between rows of log.csv."""
    save_every: NonNegativeInt = 1000
    """Steps between saves of weights and state; 0 saves at the end only."""
    validate_every: NonNegativeInt = 0
    """Steps between losses of the val split; 0 is off."""
    preview_every: NonNegativeInt = 0
    """Steps between pictures of new shapes and of what becomes of held-out ones; 0 is off."""
    preview_count: PositiveInt = 8
    """New shapes in a preview."""
    preview_points: PositiveInt = 2048
    """Points of each shape in a preview."""
    report: bool = True
    """Write report.html and report.json at the end: curves, previews, samples and scores."""
    report_shapes: NonNegativeInt = 64
    """Shapes of the val split, at most, that the report scores as many new ones against; 0 leaves
    the scores out."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            came = "neither" if self.steps is None else "both"
            raise ValueError(f"expected either steps or epochs, got {came}")
        return self

    def total_steps(self, shapes: int) -> int:
        """Return the length of the training in steps, for a training set of `shapes` shapes."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None, "checked on construction"
        return -(-self.epochs * shapes // self.batch_size)


class Experiment(BaseModel):
    """All that decides the result of a training."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: ModelConfig
    """What is trained."""
    data: DataConfig
    """What it is trained on."""
    train: TrainConfig
    """How it is trained."""

    @model_validator(mode="before")
    @classmethod
    def _factors_known(cls, tree: Any) -> Any:
        """Let pairs of shapes share the factors of the model, where they are not said again."""
        match tree:
            case {"model": {"factors": dict(factors)}, "data": {"kind": "pairs", **data}}:
                shared = {
                    name: factor.get("attributes", ())
                    for name, factor in factors.items()
                    if isinstance(factor, dict)
                }
                return tree | {"data": {"kind": "pairs", "factors": shared, **data}}
        return tree

    @model_validator(mode="after")
    def _factors_fit(self) -> Self:
        if not isinstance(self.model, InterpretationConfig):
            return self
        if not isinstance(self.data, PairsConfig):
            raise ValueError(
                f"data.kind: expected pairs, as the model learns from them, got {self.data.kind}"
            )
        told = {name: factor.attributes for name, factor in self.model.factors.items()}
        if self.data.factors != told or list(self.data.factors) != list(told):
            raise ValueError("data.factors: expected those of the model, in their order")
        return self

    @model_validator(mode="after")
    def _points_fit(self) -> Self:
        if isinstance(self.model, CFlowConfig) and self.data.num_points < self.model.points:
            raise ValueError(
                f"data.num_points: expected at least {self.model.points}, the points of the model, "
                f"got {self.data.num_points}"
            )
        if not isinstance(self.model, IRevNetConfig | IRIMConfig):
            return self
        if self.data.num_points != self.model.points:
            raise ValueError(
                f"data.num_points: expected {self.model.points}, the points of the model, got "
                f"{self.data.num_points}"
            )
        return self

    @model_validator(mode="after")
    def _precise_enough(self) -> Self:
        if isinstance(self.model, IRIMConfig) and self.train.tf32:
            raise ValueError(
                "train.tf32: expected false, TF32 is too coarse for an i-RIM's kernels"
            )
        return self

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        flow = self.model.flow if isinstance(self.model, HybridConfig) else self.model
        matching = isinstance(flow, PointFlowConfig) and flow.objective == "matching"
        if self.train.compile and not matching:
            raise ValueError("train.compile: expected false, only matching gains by compiling")
        return self

    @model_validator(mode="after")
    def _pictures_fit(self) -> Self:
        wanted = self.model.image_size
        if wanted is None:
            return self
        if not isinstance(self.data, RenderingsConfig):
            raise ValueError(
                f"data.kind: expected renderings, as the model reads pictures, got {self.data.kind}"
            )
        if self.data.size != wanted:
            raise ValueError(
                f"data.size: expected {wanted}, the image_size of the model, got {self.data.size}"
            )
        return self

    def located(self) -> Experiment:
        """Return the experiment with every path absolute, so that it works from any folder."""
        return _absolute(self)


def read_config(path: Path | str, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment from a TOML file.

    Args:
        path: the file.
        overrides: `section.key=value`, or `section={...}` for a whole section; sections come
            before what is in them, else the order counts. The value is read as TOML, and taken as
            plain text where it is none. `train.steps` takes the place of `train.epochs` and back.

    Raises:
        ConfigError: The file or an override is not a valid experiment.
    """
    source = Path(path)
    try:
        tree = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: not valid TOML: {_one_line(str(error))}") from error
    for override in sorted(overrides, key=lambda each: each.partition("=")[0].count(".")):
        _override(tree, override)
    try:
        experiment = Experiment.model_validate(tree)
    except ValidationError as error:
        problems = [_problem(details) for details in error.errors()]
        text = "; ".join(dict.fromkeys(problems[:3]))
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise ConfigError(f"{source}: {text}{more}") from error
    for key, expected, came in _conversions(tree, experiment.model_dump(mode="json"), ""):
        raise ConfigError(f"{source}: {key}: expected {expected}, got {came!r}")
    return experiment


def write_config(experiment: Experiment, path: Path | str) -> None:
    """Write an experiment, defaults included, so that `read_config` gives an equal one back."""
    tree = experiment.model_dump(mode="json", exclude_none=True)
    with atomic(Path(path)) as temporary:
        temporary.write_text(tomli_w.dumps(tree), encoding="utf-8")


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *sections, name = (part.strip() for part in key.split("."))
    if not (equals and name and all(sections)):
        raise ConfigError(f"--set: expected section.key=value, got {override!r}")
    for depth, section in enumerate(sections, start=1):
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override}: {'.'.join(sections[:depth])} is not a section")
    tree[name] = _value(text)
    if sections == ["train"] and name in ("steps", "epochs"):
        tree.pop("epochs" if name == "steps" else "steps", None)


def _value(text: str) -> object:
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text.strip()
    return table["value"] if len(table) == 1 else text


def _conversions(read: object, made: object, key: str) -> Iterator[tuple[str, str, object]]:
    """Yield where pydantic made one scalar of another, as 16 of "16": key, expected, came.

    Its strict mode would refuse that too, but also arrays for tuples and text for paths.
    """
    if isinstance(read, dict) and isinstance(made, dict):
        for name, value in read.items():
            yield from _conversions(value, made.get(name), f"{key}.{name}" if key else name)
    elif isinstance(read, list) and isinstance(made, list) and len(read) == len(made):
        for index, (value, other) in enumerate(zip(read, made, strict=True)):
            yield from _conversions(value, other, f"{key}.{index}")
    elif type(made) in SCALARS and type(read) is not type(made):
        number = type(made) is float and type(read) is int  # every integer is one
        if not number:
            yield key, SCALARS[type(made)], read


def _problem(error: ErrorDetails) -> str:
    """Say in one line which key is wrong, what was expected, and what came."""
    path, fields, tags = _follow(error["loc"])
    kind, context, came = error["type"], error.get("ctx", {}), reprlib.repr(error["input"])
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        close = difflib.get_close_matches(path[-1], fields, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(fields))}"
        return f"{'.'.join(path)}: unknown key; {hint}"
    if kind.startswith("union_tag"):
        came = repr(context["tag"]) if "tag" in context else "nothing"
        return f"{'.'.join(path)}.kind: expected one of {', '.join(sorted(tags))}, got {came}"
    if kind in ("missing", "missing_argument"):
        return f"{'.'.join(path)}: expected a value, got nothing"
    if kind == "value_error":  # one of a whole experiment names the key itself
        where = f"{'.'.join(path)}: " if path else ""
        return f"{where}{_one_line(str(context['error']))}"
    expected = error["msg"].split(", unable to parse")[0]
    expected = expected.replace("Input should be", "expected").replace("an object", "a section")
    return f"{'.'.join(path)}: {expected}, got {came}"


def _follow(location: Sequence[int | str]) -> tuple[list[str], Mapping[str, Any], set[str]]:
    """Return a location without the tags of unions, the keys known there, and the kinds."""
    path: list[str] = []
    types: list[Any] = [Experiment]
    fields: dict[str, Any] = {}
    for part in location:
        if len(types) > 1 and (tagged := [t for t in types if part in _kinds(t)]):
            types = tagged
            continue
        fields = {name: hint for t in types for name, hint in _fields(t).items()}
        path.append(str(part))
        types = list(_structures(fields.get(str(part))))
    return path, fields, {kind for t in types for kind in _kinds(t)}


def _structures(hint: object) -> Iterator[Any]:
    """Yield the classes with fields inside a type: the members of a union, of Annotated, ..."""
    if isinstance(hint, type) and (issubclass(hint, BaseModel) or is_dataclass(hint)):
        yield hint
    for argument in get_args(hint):
        yield from _structures(argument)


def _fields(structure: Any) -> dict[str, Any]:
    pydantic = issubclass(structure, BaseModel)
    names = structure.model_fields if pydantic else structure.__dataclass_fields__
    hints = get_type_hints(structure, include_extras=True)
    return {name: hints[name] for name in names}


def _kinds(structure: Any) -> tuple[str, ...]:
    return get_args(_fields(structure).get("kind"))


def _absolute(config: _Config) -> _Config:
    changes: dict[str, Any] = {}
    for name, value in config:
        if isinstance(value, Path):
            changes[name] = value.expanduser().absolute()
        elif isinstance(value, BaseModel):
            changes[name] = _absolute(value)
    return config.model_copy(update=changes)


def _one_line(text: str) -> str:
    return " ".join(text.split())
