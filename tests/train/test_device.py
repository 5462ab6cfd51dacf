import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from cxr.train.device import Fp32Depthwise, Fp32Input

CODE = """
import resource
from cxr.train.device import keep_freed_memory
keep_freed_memory()
import numpy as np
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def batch(): [np.ones(20_000_000, np.uint8) for _ in range(4)]
batch()
before = faults()
for _ in range(10): batch()
print(faults() - before)
"""


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


def test_mixed_precision_leaves_the_fractions_of_grey_levels() -> None:
    image = torch.tensor([129.5, 254.2])
    assert not torch.equal(image.bfloat16().float(), image)
    assert Fp32Input("bf16-mixed", "cpu").convert_input(image) is image


def test_gradients_reach_weights_and_films() -> None:
    depthwise = nn.Conv2d(4, 4, 3, groups=4)
    film = torch.rand(1, 4, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), Fp32Depthwise():
        depthwise(film).sum().backward()
    assert depthwise.weight.grad is not None
    assert film.grad is not None
    assert float(film.grad.abs().sum()) > 0


def test_the_kernel_clears_no_page_for_a_second_batch() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CODE], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) < 5_000, "one batch is 20,000 pages, ten are 200,000"
