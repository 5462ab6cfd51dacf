"""The network behind the interface of the segment stage."""

from dataclasses import dataclass

import torch

from cxr.films.letterbox import Image
from cxr.segment.segmenter import Probability, to_frame, to_input
from segmenter.network import LungNet


@dataclass(frozen=True)
class TorchSegmenter:
    """What `cxr.segment.segmenter.LungSegmenter` does, by PyTorch."""

    network: LungNet
    frame_px: int
    inner_px: int

    @torch.inference_mode()
    def probability(self, frame: Image) -> Probability:
        """Probability of lung, (frame_px, frame_px), on a film in the letterbox: grey (h, w) or RGB (h, w, 3)."""
        inner = self.network(torch.from_numpy(to_input(frame, self.inner_px)[None]))[0, 0].numpy()
        return to_frame(inner, self.frame_px)
