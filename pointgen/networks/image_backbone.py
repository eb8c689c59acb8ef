"""Vision backbones of Hugging Face transformers by name, frozen or fine-tuned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

__all__ = ["ImageBackbone", "ImageBackboneConfig"]

# What the pictures of ImageNet have: the units in which nearly all backbones were trained.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageBackboneConfig(BaseModel):
    """A published network, such as facebook/dinov2-small or microsoft/resnet-18."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["transformers"] = "transformers"
    name: str = Field(default="facebook/dinov2-small", min_length=1)
    """Its name on the hub, or a folder with config.json and model.safetensors."""
    image_size: int = Field(default=224, ge=16)
    """Width and height of the pictures, pixels."""
    frozen: bool = True
    """Leave its weights as they are; training is far faster, and needs far fewer pictures."""
    architecture: str | None = None
    """Its config.json; found when training begins, so that a run is loaded without the hub."""

    def found(self) -> ImageBackboneConfig:
        """Return the config with the network's architecture in it.

        Raises:
            ValueError: transformers is not installed, or the network cannot be had.
        """
        with _explained(self.name) as transformers:
            known = transformers.AutoConfig.from_pretrained(self.name, trust_remote_code=False)
        return self.model_copy(update={"architecture": known.to_json_string(use_diff=True)})

    def published(self) -> nn.Module:
        """Load the network; the first time its weights are downloaded.

        Raises:
            ValueError: transformers is not installed, or the network cannot be had.
        """
        with _explained(self.name) as transformers:
            # Neither code of the model's own nor pickled weights: one from a stranger is safe.
            network: nn.Module = transformers.AutoModel.from_pretrained(
                self.name, trust_remote_code=False, use_safetensors=True
            )
        return network.to(torch.get_default_dtype())

    def build(self) -> ImageBackbone:
        """Build the network: of an architecture that is known with random weights, else published.

        Raises:
            ValueError: transformers is not installed, or the network cannot be had.
        """
        if self.architecture is None:
            return ImageBackbone(self.published(), self)
        with _explained(self.name) as transformers:
            known = transformers.AutoConfig.for_model(**json.loads(self.architecture))
            network: nn.Module = transformers.AutoModel.from_config(known, trust_remote_code=False)
        return ImageBackbone(network.to(torch.get_default_dtype()), self)


class ImageBackbone(nn.Module):
    """The pooled features of a backbone."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, config: ImageBackboneConfig) -> None:
        super().__init__()
        self.config = config
        self.image_size = config.image_size
        self.frozen = config.frozen
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)
        network.requires_grad_(not self.frozen)
        self.features = self.eval()(self._blank()).shape[-1]
        if not self.frozen:
            self._leave_out_what_is_not_used()
        self.train()

    def take_published(self) -> None:
        """Load the published weights, which are downloaded the first time.

        Raises:
            ValueError: They cannot be had, or are of another network.
        """
        try:
            self.network.load_state_dict(self.config.published().state_dict())
        except RuntimeError as error:  # of torch, with a line for each tensor
            raise ValueError(
                f"image encoder {self.config.name}: is no longer the network of this config"
            ) from error

    def _leave_out_what_is_not_used(self) -> None:
        """Freeze what features do not depend on: several processes wait for all gradients."""
        with torch.enable_grad():  # also where a notebook loads a run without
            self(self._blank()).sum().backward()
        for parameter in self.network.parameters():
            parameter.requires_grad_(parameter.grad is not None)
        self.zero_grad()

    def _blank(self) -> Tensor:
        return torch.zeros(1, 3, self.image_size, self.image_size)

    def train(self, mode: bool = True) -> ImageBackbone:
        """Set the mode; a frozen network stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Map pictures (B, 3, H, W) in [0, 1] to features (B, `features`)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            output: Any = self.network(pixel_values=(image - self.mean) / self.std)
        pooled = getattr(output, "pooler_output", None)
        if pooled is None:
            sequence = getattr(output, "last_hidden_state", None)
            if sequence is None or sequence.ndim != 3:
                raise ValueError("image encoder: this network gives no features of a whole picture")
            pooled = sequence.mean(1)
        return pooled.flatten(1)


@contextmanager
def _explained(name: str) -> Iterator[Any]:
    """Yield the library, and say in one line what it cannot do with a network."""
    try:
        import transformers
    except ImportError as error:
        raise ValueError(
            "an image encoder of kind 'transformers' needs: pip install transformers"
        ) from error
    try:
        yield transformers
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"image encoder {name}: cannot be loaded ({reason[:300]})") from error
