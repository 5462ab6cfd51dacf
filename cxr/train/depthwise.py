"""Depthwise convolutions in fp32 where a processor trains in bf16: oneDNN is slow at their gradients in bf16."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from typing_extensions import override


class Fp32Depthwise(TorchFunctionMode):
    """While it is entered, depthwise convolutions are computed outside of autocast; what they give is bf16 again."""

    @override
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not torch.conv2d or not _depthwise(*args[:2]):
            return func(*args, **kwargs)
        film, *others = args
        with torch.autocast("cpu", enabled=False):
            return func(film.float(), *others, **kwargs).bfloat16()


def _depthwise(film: Tensor, weight: Tensor) -> bool:
    """Whether each filter sees one of several channels."""
    return film.shape[1] > weight.shape[1] == 1
