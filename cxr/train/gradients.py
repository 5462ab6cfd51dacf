"""Gradients of the weights of wide depthwise convolutions, where oneDNN's portable kernels are slow.

Up to AVX, oneDNN has a fast gradient for depthwise kernels of at most three columns; that of wider kernels goes through
one small matrix product per channel and takes five to ten times as long. Here the columns of a kernel are divided into
parts of three. The sums have another order than oneDNN's, which is the same on every processor.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from typing_extensions import override

COLUMNS = 3  # of a kernel, the most for which oneDNN's gradient is fast


class FastDepthwiseGradients(TorchFunctionMode):
    """Context in which wide depthwise convolutions get the weight gradients of this module; for fp32 on a CPU."""

    @override
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.conv2d and not kwargs and len(args) == 7 and torch.is_grad_enabled():
            film, weight, bias, stride, padding, dilation, groups = args
            wide = groups == film.shape[1] == len(weight) and weight.shape[3] > COLUMNS
            if wide and bias is None and not isinstance(padding, str) and _pair(dilation) == (1, 1):
                return _Depthwise.apply(film, weight, _pair(stride), _pair(padding))
        return func(*args, **(kwargs or {}))


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, film: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(film, weight)
        ctx.stride, ctx.padding = stride, padding
        return torch.conv2d(film, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (film, weight), to_film, to_weight = gradients, ctx.saved_tensors, None, None
        if ctx.needs_input_grad[0]:
            to_film = _backward(gradient, film, weight, ctx.stride, ctx.padding, (True, False, False))[0]
        if ctx.needs_input_grad[1]:
            to_weight = _weight_gradient(gradient, film, weight, ctx.stride, ctx.padding)
        return to_film, to_weight, None, None


def _weight_gradient(
    gradient: Tensor, film: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """The gradient of the weight, COLUMNS of the kernel at a time: each sees its own window of the padded film."""
    down, right = padding
    padded = F.pad(film, (right, right, 0, 0)) if right else film
    reach = (gradient.shape[3] - 1) * stride[1]
    parts = []
    for first in range(0, weight.shape[3], COLUMNS):
        columns = weight[..., first : first + COLUMNS]
        window = padded[..., first : first + reach + columns.shape[3]]
        parts.append(_backward(gradient, window, columns, stride, (down, 0), (False, True, False))[1])
    return torch.cat(parts, dim=3)


def _backward(
    gradient: Tensor,
    film: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    wanted: tuple[bool, bool, bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of film, weight and bias."""
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, film, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight), wanted
    )
    return found


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
