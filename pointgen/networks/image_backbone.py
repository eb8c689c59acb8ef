"""Vision backbones of Hugging Face transformers by name, frozen or fine-tuned."""

from __future__ import annotations

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

    def build(self) -> ImageBackbone:
        """Load the network; the first time its weights are downloaded.

        Raises:
            ValueError: transformers is not installed, or the network cannot be had.
        """
        return ImageBackbone(_loaded(self.name), self)


class ImageBackbone(nn.Module):
    """The pooled features of a backbone."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, config: ImageBackboneConfig) -> None:
        super().__init__()
        self.image_size = config.image_size
        self.frozen = config.frozen
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)
        network.requires_grad_(not self.frozen)
        found = self.eval()(torch.zeros(1, 3, self.image_size, self.image_size))
        self.features = found.shape[-1]
        if not self.frozen:
            self._leave_out_what_is_not_used(found)
        self.train()

    def _leave_out_what_is_not_used(self, found: Tensor) -> None:
        """Freeze what features do not depend on: several processes wait for all gradients."""
        found.sum().backward()
        for parameter in self.network.parameters():
            parameter.requires_grad_(parameter.grad is not None)
        self.zero_grad()

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


def _loaded(name: str) -> nn.Module:
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise ValueError(
            "an image encoder of kind 'transformers' needs: pip install transformers"
        ) from error
    try:
        # Neither code of the model's own nor pickled weights: a config from a stranger is safe.
        network: nn.Module = AutoModel.from_pretrained(
            name, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"image encoder {name}: cannot be loaded ({reason[:300]})") from error
    return network.to(torch.get_default_dtype())
