"""The layer that PointFlow spends its time in, with derivatives of its own.

y = tanh(g W x + c) and its tangents dy = (1 - y^2) g W dx. By general differentiation every product
is a pass over memory, forward and backward; here the backward pass takes as few as it can.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["gated_tanh"]


def gated_tanh(
    x: Tensor, dx: Tensor | None, weight: Tensor, gate: Tensor, offset: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return tanh(gate * (x W') + offset) (..., O), and its tangents (K, ..., O) along dx.

    Args:
        x: (..., I).
        dx: tangents of x, (K, ..., I); its middle axes may be 1. None for none.
        weight: W (O, I).
        gate: broadcasts against the result.
        offset: broadcasts against the result.
    """
    if dx is not None:
        return GatedTanh.apply(x, dx, weight, gate, offset)
    return torch.addcmul(offset, x @ weight.T, gate).tanh(), None


class GatedTanh(torch.autograd.Function):
    """`gated_tanh` with tangents."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dx: Tensor, weight: Tensor, gate: Tensor, offset: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Keep W x and W dx: recomputing them would cost what the layer costs."""
        u, du = x @ weight.T, dx @ weight.T
        y = torch.addcmul(offset, u, gate).tanh_()
        ctx.save_for_backward(x, dx, weight, gate, u, du, y)
        ctx.offset_shape = offset.shape
        return y, du * torch.addcmul(gate, y * y, gate, value=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_dy: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of all inputs."""
        x, dx, weight, gate, u, du, y = ctx.saved_tensors
        slope = 1 - y * y
        along = (grad_dy * du).sum(0)  # gradient of the derivative slope * gate
        grad_offset = torch.addcmul(grad_y, along * y, gate, value=-2).mul_(slope)
        grad_gate = torch.addcmul(along.mul_(slope), grad_offset, u)
        grad_u = grad_offset * gate
        grad_du = grad_dy * slope.mul_(gate)
        if du.shape != grad_du.shape:  # shared directions
            grad_du = grad_du.sum_to_size(du.shape)
        grad_weight = _outer(grad_u, x) + _outer(grad_du, dx)
        return (
            grad_u @ weight if ctx.needs_input_grad[0] else None,
            grad_du @ weight if ctx.needs_input_grad[1] else None,
            grad_weight,
            grad_gate.sum_to_size(gate.shape),
            grad_offset.sum_to_size(ctx.offset_shape),
        )


def _outer(grad: Tensor, x: Tensor) -> Tensor:
    """Return the sum of grad x' (O, I) over all vectors grad (..., O) and x (..., I)."""
    return grad.reshape(-1, grad.shape[-1]).T @ x.reshape(-1, x.shape[-1])
