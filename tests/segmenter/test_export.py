from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from cxr.core.errors import CxrError
from cxr.segment.scores import mask_scores
from cxr.segment.segmenter import load_segmenter
from segmenter.config import ExportSection
from segmenter.export import TorchSegmenter, export, synthetic_frame
from segmenter.network import LungNet, load_network, new_network, save_network

SECTION = ExportSection(opset=18, version="9.9.9")


@pytest.fixture(scope="module")
def network() -> LungNet:
    """A network that has learned a little, so that its masks are no noise."""
    torch.manual_seed(0)
    network = new_network(0)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    frames = [cv2.resize(synthetic_frame(seed, 128), (64, 64), interpolation=cv2.INTER_AREA) for seed in range(8)]
    rgb = torch.from_numpy(np.stack(frames)).float()[:, None].expand(-1, 3, -1, -1)
    dark = ((rgb[:, :1] < 120) & (rgb[:, :1] > 0)).float()
    for _ in range(12):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network.logits(rgb), dark)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def test_the_exported_file_and_pytorch_draw_the_same_masks(network: LungNet, tmp_path: Path) -> None:
    export(network, tmp_path / "lungs.onnx", 128, 64, SECTION)
    exported, original = load_segmenter(tmp_path / "lungs.onnx"), TorchSegmenter(network, 128, 64)
    for seed in range(20, 26):
        frame = synthetic_frame(seed, 128)
        masks = [np.uint8(255) * (one.probability(frame) >= 0.5) for one in (exported, original)]
        assert 0 < masks[0].mean() < 255
        assert mask_scores(*masks).dice >= 0.999


def test_the_file_tells_its_facts_and_its_opset_and_is_small_enough_for_git(network: LungNet, tmp_path: Path) -> None:
    export(network, tmp_path / "lungs.onnx", 128, 64, SECTION)
    segmenter = load_segmenter(tmp_path / "lungs.onnx")
    assert (segmenter.frame_px, segmenter.inner_px, segmenter.version) == (128, 64, "9.9.9")
    assert [one.version for one in onnx.load(tmp_path / "lungs.onnx").opset_import] == [18]
    assert (tmp_path / "lungs.onnx").stat().st_size < 8e6


def test_a_file_that_disagrees_with_pytorch_is_not_written(
    network: LungNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segmenter.export.MIN_DICE", 1.1)
    with pytest.raises(CxrError, match="agree with Dice"):
        export(network, tmp_path / "lungs.onnx", 128, 64, SECTION)
    assert not list(tmp_path.iterdir())


def test_weights_read_back_as_written(network: LungNet, tmp_path: Path) -> None:
    save_network(tmp_path / "net.pt", network)
    again = load_network(tmp_path / "net.pt")
    rgb = torch.rand(1, 3, 64, 64) * 255
    with torch.inference_mode():
        assert torch.equal(again(rgb), network(rgb))
