"""Stage export: the network as ONNX in floating point, checked against PyTorch."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch

from cxr.core.config import load_section
from cxr.core.errors import CxrError
from cxr.core.files import atomic_path
from cxr.films.letterbox import Image
from cxr.runtime.console import run_stage
from cxr.segment.config import FIRST_QUALITY, MaskQuality
from cxr.segment.scores import mask_scores
from cxr.segment.segmenter import Probability, load_segmenter, to_frame, to_input
from segmenter.config import PARAMS, WORK, ExportSection, PrepareSection, TrainSection
from segmenter.network import LungNet, load_network

log = logging.getLogger(__name__)
MODEL = WORK / "lung_segmenter.onnx"
MIN_DICE = 0.999  # of the masks of the two engines


@dataclass(frozen=True)
class TorchSegmenter:
    """The network behind the interface of the segment stage: `cxr.segment.segmenter.LungSegmenter` by PyTorch."""

    network: LungNet
    frame_px: int
    inner_px: int
    quality: MaskQuality = FIRST_QUALITY

    @torch.inference_mode()
    def probability(self, frame: Image) -> Probability:
        """See `cxr.segment.segmenter.Segmenter`."""
        inner = self.network(torch.from_numpy(to_input(frame, self.inner_px)[None]))[0, 0].numpy()
        return to_frame(inner, self.frame_px)


def main() -> None:
    """Write segmenter/work/lung_segmenter.onnx."""
    export_section = load_section("export", ExportSection, PARAMS)
    inner_px = load_section("train", TrainSection, PARAMS).inner_px
    frame_px = load_section("prepare", PrepareSection, PARAMS).frame_px
    network = load_network(WORK / "lung_net.pt")
    export(network, MODEL, frame_px, inner_px, export_section)
    log.info("%s: %.1f MB", MODEL, MODEL.stat().st_size / 1e6)


def export(network: LungNet, path: Path, frame_px: int, inner_px: int, section: ExportSection) -> None:
    """Write the network as ONNX; the file takes its name only when it agrees with PyTorch.

    Raises:
        CxrError: the masks of the two engines agree less than they must.
    """
    with atomic_path(path) as temporary:
        write_onnx(network, temporary, frame_px, inner_px, section)
        agreement = lowest_agreement(TorchSegmenter(network, frame_px, inner_px), temporary)
        if agreement < MIN_DICE:
            raise CxrError(f"{path}: ONNX Runtime and PyTorch agree with Dice {agreement:.5f} only; try another opset")


def write_onnx(network: LungNet, path: Path, frame_px: int, inner_px: int, section: ExportSection) -> None:
    """Write the network as ONNX under the contract of `cxr.segment.segmenter`."""
    torch.onnx.export(
        network,
        (torch.zeros(2, 3, inner_px, inner_px),),
        str(path),
        input_names=["rgb"],
        output_names=["probability"],
        dynamic_axes={"rgb": {0: "films"}, "probability": {0: "films"}},
        opset_version=section.opset,
        dynamo=False,
    )
    model = half_size(onnx.load(str(path)))
    onnx.helper.set_model_props(
        model, {"frame_px": str(frame_px), "inner_px": str(inner_px), "version": section.version}
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def half_size(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep the weights as float16, cast back to float32 when the file is opened: half the bytes, the same speed."""
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or math.prod(weight.dims) < 1024:
            continue
        name = weight.name
        values = onnx.numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(onnx.numpy_helper.from_array(values, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [weight.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def lowest_agreement(segmenter: TorchSegmenter, onnx_file: Path) -> float:
    """The lowest Dice between the masks of PyTorch and of ONNX Runtime, over some synthetic frames."""
    other = load_segmenter(onnx_file)
    frames = [synthetic_frame(seed, segmenter.frame_px) for seed in range(8)]
    masks = [[np.uint8(255) * (one.probability(frame) >= 0.5) for one in (segmenter, other)] for frame in frames]
    return min(mask_scores(ours, theirs).dice for ours, theirs in masks)


def synthetic_frame(seed: int, frame_px: int) -> Image:
    """A crude film of two dark lungs in a bright chest, (frame_px, frame_px)."""
    rng = np.random.default_rng(seed)
    lungs = np.zeros((frame_px, frame_px), np.float32)
    for side in (0.32, 0.68):
        centre = tuple(int(at * frame_px) for at in (side + rng.normal(0, 0.02), 0.5 + rng.normal(0, 0.03)))
        axes = (int(frame_px * rng.uniform(0.1, 0.16)), int(frame_px * rng.uniform(0.24, 0.34)))
        cv2.ellipse(lungs, centre, axes, 0, 0, 360, 1.0, -1)
    film = 190 - 120 * cv2.GaussianBlur(lungs, (0, 0), frame_px / 64) + rng.normal(0, 8, lungs.shape)
    return np.asarray(np.clip(film, 0, 255), np.uint8)


if __name__ == "__main__":
    run_stage(main)
