"""Two training steps in portable arithmetic; prints the MD5 of the weights. Part of benchmarks.repeat.

    python -m benchmarks.repeat_step 128 16   # pixels, films a batch

Films are drawn and not augmented: the emulator of Debian 12 fails at the gathering loads of the resampling.
"""

import hashlib
import sys

from cxr.models.portable import use_portable_arithmetic


def main(px: int, batch: int) -> None:
    """Train, and print."""
    use_portable_arithmetic()
    import numpy as np
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

    from cxr.models.classifier import new_classifier
    from cxr.models.portable import portability_problem
    from cxr.models.weights import load_weights
    from cxr.train.gradients import FastDepthwiseGradients

    assert not portability_problem(), portability_problem()
    torch.manual_seed(0)
    classifier = new_classifier("tf_efficientnet_lite0", ["normal", "pneumonia"], px)
    load_weights(classifier.backbone, "tf_efficientnet_lite0", "package", 0.9)
    classifier = classifier.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=1e-3, fused=True)
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (batch, 4, 8, 8)).astype(np.float32))
    label = torch.from_numpy((random.random(batch) < 0.5).astype(np.float32))
    films = interpolate(coarse, size=(px, px), mode="bilinear").round()
    for _ in range(2):
        optimizer.zero_grad()
        with FastDepthwiseGradients():
            logits = classifier(films)
        binary_cross_entropy_with_logits(logits, label).backward()
        torch.nn.utils.clip_grad_norm_(classifier.parameters(), 1.0)
        optimizer.step()
    weights = b"".join(value.contiguous().numpy().tobytes() for value in classifier.state_dict().values())
    print(hashlib.md5(weights).hexdigest())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
