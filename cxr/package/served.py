"""The classifier as it is served: stored images in; logits, pooled features and class activation out."""

import numpy as np
import torch
from torch import Tensor, nn

from cxr.models.classifier import Classifier

TOLERANCE = 1e-4  # of logits: the head is linear on the pooled map, or it is not


class ServedClassifier(nn.Module):
    """Wraps a classifier; what it gives is what `cxr.bundle.network` promises.

    The class activation map (Zhou et al. 2016) is the head's weights over the last feature map. It is exact only where
    the head is linear on the map's mean; `mapped` says whether it is, and without it the third output is left out.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.eval()  # as a whole: an exporter sets what it exports back to the mode of the outermost module
        self.mapped = False
        with torch.no_grad():
            self.mapped = self._head_is_linear(probe(classifier.facts["image_px"]))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the contract; `image` is uint8 (N, 4, H, W)."""
        features = self.classifier.feature_map(image)
        logits = self.classifier.with_mirror(self.classifier.logits(features), image)
        if not self.mapped:
            return logits, self._pooled(features).float()
        head = self._head()
        activation = torch.einsum("kc,nchw->nkhw", head.weight, features).float()
        return logits, features.mean(dim=(2, 3)).float(), activation

    def _head_is_linear(self, image: Tensor) -> bool:
        features = self.classifier.feature_map(image)
        if features.ndim != 4 or features.shape[1] != self._head().in_features:
            return False
        linear = self._head()(features.mean(dim=(2, 3))).squeeze(1)
        return torch.allclose(linear.float(), self.classifier.logits(features), atol=TOLERANCE)

    def _head(self) -> nn.Linear:
        head = self.classifier.head[-1]
        assert isinstance(head, nn.Linear)
        return head

    def _pooled(self, features: Tensor) -> Tensor:
        pooled: Tensor = self.classifier.backbone.forward_head(features, pre_logits=True)  # type: ignore[operator]
        return pooled


def probe(image_px: int, films: int = 2, seed: int = 0) -> Tensor:
    """Stored images of nothing in particular, uint8 (films, 4, image_px, image_px): smooth, with a mask."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.integers(0, 256, (films, 4, 7, 7)).astype(np.float32))
    fine = nn.functional.interpolate(coarse, size=(image_px, image_px), mode="bilinear")
    fine[:, 3] = torch.where(fine[:, 3] > 127, 255.0, 0.0)
    return fine.to(torch.uint8)
