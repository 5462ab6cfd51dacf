"""Depthwise convolutions in fp32 where a processor trains in bf16: oneDNN is slow at their gradients in bf16."""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from typing_extensions import override


class Fp32Depthwise(TorchFunctionMode):
    """While it is entered, depthwise convolutions are computed outside of autocast; what they give is bf16 again."""

    @override
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not torch.conv2d or not _depthwise(*args, **kwargs):
            return func(*args, **kwargs)
        film, *others = args
        with torch.autocast("cpu", enabled=False):
            return func(film.float(), *others, **kwargs).bfloat16()


def _depthwise(film: Any, weight: Any, *others: Any, groups: int = 1, **_: Any) -> bool:
    return max(groups, others[4] if len(others) > 4 else 1) > 1 and bool(weight.shape[1] == 1)
