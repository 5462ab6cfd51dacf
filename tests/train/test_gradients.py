from typing import Any

import pytest
import torch
from torch import Tensor

from cxr.train import gradients
from cxr.train.device import Fp32Depthwise
from cxr.train.gradients import FastDepthwiseGradients

# channels, kernel, stride, padding, side of the film
WIDE = {
    "one film size in and out": (24, (5, 5), 1, 2, 18),
    "a stride": (24, (5, 5), 2, 0, 19),
    "a stride that leaves a row over": (8, (5, 5), 2, 2, 18),
    "seven columns": (8, (7, 7), 1, 3, 12),
    "another height": (8, (3, 5), (2, 1), (1, 2), 12),
}
OTHER = {
    "narrow": torch.nn.Conv2d(8, 8, 3, groups=8, bias=False),
    "dense": torch.nn.Conv2d(8, 8, 5, bias=False),
    "with a bias": torch.nn.Conv2d(8, 8, 5, groups=8),
    "dilated": torch.nn.Conv2d(8, 8, 5, groups=8, bias=False, dilation=2),
    "several outputs per channel": torch.nn.Conv2d(8, 16, 5, groups=8, bias=False),
    "padded by a word": torch.nn.Conv2d(8, 8, 5, groups=8, bias=False, padding="same"),
}


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with the columns of the kernels whose gradient this module was asked for."""
    asked: list[int] = []
    original = gradients._weight_gradient

    def noted(gradient: Tensor, film: Tensor, weight: Tensor, *others: Any) -> Tensor:
        asked.append(weight.shape[3])
        return original(gradient, film, weight, *others)

    monkeypatch.setattr(gradients, "_weight_gradient", noted)
    return asked


def derived(layer: torch.nn.Conv2d, film: Tensor, *modes: Any) -> tuple[Tensor, Tensor | None]:
    """The gradients of weight and film of an uneven sum of the outputs."""
    layer.zero_grad()
    given = film.detach().clone().requires_grad_(film.requires_grad)
    for mode in modes:
        mode.__enter__()
    result = layer(given)
    for mode in reversed(modes):
        mode.__exit__(None, None, None)
    flow = torch.linspace(-1, 1, result.numel()).view(result.shape).contiguous(memory_format=torch.channels_last)
    result.float().backward(flow)
    assert layer.weight.grad is not None
    return layer.weight.grad.clone(), given.grad


def random_film(channels: int, side: int) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(4, channels, side, side).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", WIDE)
def test_the_gradients_of_a_wide_depthwise_convolution_are_those_of_torch(name: str, parts: list[int]) -> None:
    channels, kernel, stride, padding, side = WIDE[name]
    layer = torch.nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=False)
    film = random_film(channels, side).requires_grad_(True)
    expected = derived(layer, film)
    assert not parts
    found = derived(layer, film, FastDepthwiseGradients())
    assert parts == [kernel[1]]
    for one, other in zip(found, expected, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))
    assert torch.equal(found[0], derived(layer, film, FastDepthwiseGradients())[0])


@pytest.mark.parametrize("name", OTHER)
def test_other_convolutions_stay_with_torch(name: str, parts: list[int]) -> None:
    film = random_film(8, 16)
    assert torch.equal(derived(OTHER[name], film)[0], derived(OTHER[name], film, FastDepthwiseGradients())[0])
    assert not parts


def test_a_film_or_a_weight_without_a_gradient_gets_none(parts: list[int]) -> None:
    layer = torch.nn.Conv2d(8, 8, 5, groups=8, bias=False)
    assert derived(layer, random_film(8, 16), FastDepthwiseGradients())[1] is None
    parts.clear()
    layer.requires_grad_(False)
    film = random_film(8, 16).requires_grad_(True)
    with FastDepthwiseGradients():
        layer(film).sum().backward()
    assert film.grad is not None
    assert not parts


def test_fp32_layers_of_a_bf16_training_have_the_fast_gradient(parts: list[int]) -> None:
    layer = torch.nn.Conv2d(8, 8, 5, groups=8, bias=False)
    with torch.autocast("cpu", torch.bfloat16):
        derived(layer, random_film(8, 16), FastDepthwiseGradients(), Fp32Depthwise())
    assert parts == [5]
