from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cxr.segment.scores import mask_scores
from cxr.segment.segmenter import LungSegmenter, load_segmenter, to_input
from segmenter.config import ExportSection
from segmenter.export import TorchSegmenter, synthetic_frame, write_onnx
from segmenter.network import LungNet
from segmenter.quantise import calibration_inputs, convolutions, is_depthwise, quantise, static_graph
from segmenter.table import Pair
from testing.workspace import ROOT
from tests.segmenter.test_export import network

SHIPPED = ROOT / "models" / "lung_segmenter.onnx"
PX = 64

__all__ = ["network"]


def inputs(count: int) -> list[np.ndarray]:
    return [to_input(synthetic_frame(seed, 128), PX)[None] for seed in range(count)]


@pytest.fixture(scope="module")
def pair(network: LungNet, tmp_path_factory: pytest.TempPathFactory) -> tuple[TorchSegmenter, LungSegmenter]:
    """A network that has learned a little, in floating point and in integers."""
    folder = tmp_path_factory.mktemp("quantise")
    write_onnx(network, folder / "float.onnx", 128, PX, ExportSection(opset=18, version="9.9.9"))
    model = quantise(static_graph(folder / "float.onnx", PX), inputs(12))
    model.metadata_props.extend(onnx.load(folder / "float.onnx").metadata_props)
    onnx.save(model, folder / "integers.onnx")
    return TorchSegmenter(network, 128, PX), load_segmenter(folder / "integers.onnx")


def test_both_networks_draw_almost_the_same_masks(
    pair: tuple[TorchSegmenter, LungSegmenter],
) -> None:
    for seed in range(20, 24):
        masks = [np.uint8(255) * (one.probability(synthetic_frame(seed, 128)) >= 0.5) for one in pair]
        assert 0 < masks[0].mean() < 255
        assert mask_scores(*masks).dice >= 0.97


def test_several_films_at_once_give_the_same_bits_as_one_after_another(
    pair: tuple[TorchSegmenter, LungSegmenter],
) -> None:
    films = inputs(3)
    (together,) = pair[1].session.run(None, {"rgb": np.concatenate(films)})
    alone = [pair[1].session.run(None, {"rgb": film})[0] for film in films]
    assert np.array_equal(together, np.concatenate(alone))


def test_rounding_the_weights_does_not_shift_a_channel(pair: tuple[TorchSegmenter, LungSegmenter]) -> None:
    real, integers = ([one.probability(synthetic_frame(seed, 128)).mean() for seed in range(12)] for one in pair)
    assert np.mean(integers) == pytest.approx(np.mean(real), rel=0.02)


def test_the_calibration_films_are_training_films_spread_evenly() -> None:
    films = np.stack([np.full((8, 8), value, np.uint8) for value in range(8)])
    pairs = [Pair("a", "", "", "", "val" if index == 7 else "train", 0, 0) for index in range(8)]
    chosen = calibration_inputs(films, pairs, 3, 4)
    assert [int(one.max()) for one in chosen] == [0, 3, 6]
    assert chosen[0].shape == (1, 3, 4, 4)


def test_the_shipped_files_weights_do_not_overflow_16_bits_where_kernels_add_pairs() -> None:
    model = onnx.load(SHIPPED)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    sources = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    largest = {True: 0, False: 0}
    for node in convolutions(model):
        weight = numpy_helper.to_array(stored[sources[node.input[1]]]).astype(int)
        largest[is_depthwise(node)] = max(largest[is_depthwise(node)], int(np.abs(weight).max()))
    assert largest == {True: 127, False: 64}


def test_an_exported_file_keeps_its_name_and_leaves_nothing_else(network: LungNet, tmp_path: Path) -> None:
    write_onnx(network, tmp_path / "float.onnx", 128, PX, ExportSection(opset=18, version="9.9.9"))
    static = static_graph(tmp_path / "float.onnx", PX)
    assert [path.name for path in tmp_path.iterdir()] == ["float.onnx"]
    assert len(static.graph.node) < 150
    assert not {"Shape", "Pad", "Cast", "Gather"} & {node.op_type for node in static.graph.node}
