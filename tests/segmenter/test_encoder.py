from pathlib import Path

import pytest
import torch

from cxr.core.errors import CxrError
from segmenter.config import ExportSection
from segmenter.encoder import folded_convolutions, unfold
from segmenter.export import write_onnx
from segmenter.network import LungNet
from tests.segmenter.test_export import network

__all__ = ["network"]
PX = 64


@pytest.fixture
def folded(network: LungNet, tmp_path: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    write_onnx(network, tmp_path / "lungs.onnx", 128, PX, ExportSection(opset=18, version="9.9.9"))
    return folded_convolutions(tmp_path / "lungs.onnx")


@torch.inference_mode()
def test_the_encoder_of_an_exported_file_computes_the_features_of_the_network(
    network: LungNet, folded: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    images = torch.randn(8, 3, PX, PX, generator=torch.Generator().manual_seed(0))
    original, taken_out = network.unet.encoder.model, unfold(folded, 0, images)
    wanted, found = (one.blocks(one.bn1(one.conv_stem(images))) for one in (original, taken_out))
    assert (found - wanted).abs().max() < 0.05 * wanted.std()
    norm = taken_out.blocks[3][0].bn1
    assert norm.running_var.std() > 0  # measured, not folded


def test_frozen_blocks_that_were_trained_after_all_are_an_error(
    folded: list[tuple[torch.Tensor, torch.Tensor]],
) -> None:
    with pytest.raises(CxrError, match="features differ"):
        unfold(folded, 2, torch.randn(8, 3, PX, PX))
