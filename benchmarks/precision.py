"""Training films per second on a CPU in bf16, plain and as the train stage runs it, over the same in fp32.

One batch is held; forward, loss and backward are timed, in turns, so that other work on the machine hits all alike.
Where a processor has no instructions for bf16, `train.amp: auto` stays with fp32, and so would this table.

    python -m benchmarks.precision --px 144
"""

import argparse
import time
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch

from cxr.models.classifier import Classifier, new_classifier
from cxr.train.depthwise import Fp32Depthwise

BATCH = 32
ROUNDS = 5


def main() -> None:
    """Print one line a backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["tf_efficientnet_lite0", "efficientnet_b0", "resnet18"])
    parser.add_argument("--px", type=int, default=144)
    options = parser.parse_args()
    print(f"CPU, {torch.get_num_threads()} threads, batch {BATCH}, {options.px} px: films/s in fp32; over it")
    print(f"{'backbone':<24}{'fp32':>8}{'bf16':>8}{'bf16, depthwise in fp32':>26}")
    for backbone in options.backbones:
        classifier = new_classifier(backbone, ("normal", "pneumonia"), options.px).train()
        classifier = classifier.to(memory_format=torch.channels_last)
        films = torch.randint(0, 256, (BATCH, 4, options.px, options.px)).float()
        seconds = []
        for _ in range(ROUNDS + 1):
            depthwise = nullcontext(), nullcontext(), Fp32Depthwise()
            seconds.append([step(classifier, films, at > 0, context) for at, context in enumerate(depthwise)])
        fp32, bf16, mixed = np.median(seconds[1:], axis=0)  # the first round warms up
        print(f"{backbone:<24}{BATCH / fp32:>8.1f}{fp32 / bf16:>7.2f}x{fp32 / mixed:>25.2f}x", flush=True)


def step(classifier: Classifier, films: torch.Tensor, bf16: bool, depthwise: AbstractContextManager[object]) -> float:
    """Seconds of forward and backward."""
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16), depthwise:
        logits = classifier(films)
    logits.float().square().mean().backward()
    classifier.zero_grad()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
