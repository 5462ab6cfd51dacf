import torch
from torch import nn

from cxr.train.depthwise import Fp32Depthwise


def test_depthwise_convolutions_leave_autocast_and_others_stay_in_it() -> None:
    torch.manual_seed(0)
    depthwise, pointwise = nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1)
    film = torch.rand(2, 8, 16, 16)
    exact = depthwise(film)
    with torch.autocast("cpu", torch.bfloat16):
        plain = depthwise(film)
        with Fp32Depthwise():
            found, other = depthwise(film), pointwise(film)
        expected = pointwise(film)
    assert torch.equal(found, exact.bfloat16())  # rounded once, at the end
    assert not torch.equal(plain, found)
    assert torch.equal(other, expected)
    assert other.dtype == torch.bfloat16


def test_gradients_reach_weights_and_films() -> None:
    depthwise = nn.Conv2d(4, 4, 3, groups=4)
    film = torch.rand(1, 4, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), Fp32Depthwise():
        depthwise(film).sum().backward()
    assert depthwise.weight.grad is not None
    assert film.grad is not None
    assert float(film.grad.abs().sum()) > 0
