"""Stage quantise: the exported network in 8-bit integers, and what that costs in Dice on held-out films.

The order of integer sums does not matter, so the file computes the same bits on every processor, with the fast kernels.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from cxr.core.config import load_section
from cxr.core.errors import CxrError
from cxr.core.files import atomic_path, write_json
from cxr.runtime.console import run_stage
from cxr.segment.config import SegmentSection
from cxr.segment.segmenter import LungSegmenter, load_segmenter, to_input
from segmenter.config import PARAMS, WORK, PrepareSection, QuantiseSection, TrainSection
from segmenter.corrupted import CONDITIONS
from segmenter.evaluate import score
from segmenter.export import MODEL
from segmenter.table import Films, Pair, read_learning_set, read_pairs

log = logging.getLogger(__name__)
INTEGERS = WORK / "lung_segmenter_int8.onnx"
COMPARISON = Path("segmenter/quantised.json")
DOUBLE = "double"  # name of a constant
POOR = 0.85  # Dice below which a mask is counted
MAX_LOSS = 0.001  # of the mean Dice of a data set

Array = np.ndarray[Any, np.dtype[np.float32]]


def main() -> None:
    """Write work/lung_segmenter_int8.onnx and quantised.json."""
    section, settings = load_section("quantise", QuantiseSection, PARAMS), load_section("segment", SegmentSection)
    inner_px = load_section("train", TrainSection, PARAMS).inner_px
    frame_px = load_section("prepare", PrepareSection, PARAMS).frame_px
    films, _, pairs = read_learning_set(WORK / "films")
    inputs = calibration_inputs(films, pairs, section.films, inner_px)
    facts = {"frame_px": str(frame_px), "inner_px": str(inner_px), "version": section.version}
    with atomic_path(INTEGERS) as temporary:
        model = quantise(static_graph(MODEL, inner_px), inputs)
        helper.set_model_props(model, facts | {"quality": section.quality.model_dump_json()})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(temporary))
        held_out = [pair for pair in read_pairs(WORK / "films" / "pairs.csv") if pair.split != "train"]
        figures = compare(load_segmenter(MODEL), load_segmenter(temporary), held_out, settings)
        for name, row in figures.items():
            if row["float_dice"] - row["integer_dice"] > MAX_LOSS:
                raise CxrError(f"{name}: Dice falls from {row['float_dice']} to {row['integer_dice']}; calibrate anew")
    write_json(COMPARISON, figures)


def calibration_inputs(films: Films, pairs: list[Pair], count: int, inner_px: int) -> list[Array]:
    """Some training films, spread evenly, as inputs (1, 3, px, px) of the network."""
    train = [index for index, pair in enumerate(pairs) if pair.split == "train"]
    places = np.linspace(0, len(train) - 1, min(count, len(train)))
    return [to_input(films[train[int(place)]], inner_px)[None] for place in places]


def static_graph(path: Path, px: int) -> ModelProto:
    """The network for one film of a fixed size, constants folded.

    The padding that the exported graph computes from shapes becomes constant.
    """
    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/static.onnx"
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        static = onnx.load(options.optimized_model_filepath)
    sizes = {node.input[3] for node in static.graph.node if node.op_type == "Resize"}
    for tensor in [one for one in static.graph.initializer if one.name in sizes]:
        static.graph.initializer.remove(tensor)
    static.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), DOUBLE))
    for node in static.graph.node:
        if node.op_type == "Resize":  # sizes would hold for one film only
            node.input[1:] = ["", DOUBLE]
    return static


def quantise(model: ModelProto, inputs: list[Array]) -> ModelProto:
    """The network with weights and activations of 8 bits, for any number of films.

    Processors without dot products of integers add pairs of products in 16 bits, which 8-bit weights overflow. So
    weights have 7 bits, except in depthwise convolutions, whose kernels add in 32 bits.
    """
    depthwise = [node.input[1] for node in convolutions(model) if is_depthwise(node)]
    whole = [{"quant_type": QuantType.QInt8, "reduce_range": False, "axis": 0}]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "integers.onnx"
        quantize_static(
            with_rounded_weights(model, inputs),
            path,
            Inputs(inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"TensorQuantOverrides": dict.fromkeys(depthwise, whole)},
        )
        integers = onnx.load(str(path))
    for value in (*integers.graph.input, *integers.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "films"
    del integers.graph.value_info[:]  # shapes of one film
    return integers


class Inputs(CalibrationDataReader):  # type: ignore[misc]  # of a library without types
    """Inputs of the network, one after the other."""

    def __init__(self, inputs: list[Array]) -> None:
        self.left = iter(inputs)

    def get_next(self) -> dict[str, Array] | None:
        """The next input, or None after the last."""
        return next(({"rgb": one} for one in self.left), None)


def with_rounded_weights(model: ModelProto, inputs: list[Array]) -> ModelProto:
    """The network with weights that quantisation keeps, and biases that make up for the rounding.

    A kernel that finds edges sums to zero, and its rounded weights do not: each channel would be shifted by the error
    of the weights times the mean of its input. That shift is subtracted (bias correction: Nagel et al. 2019,
    https://arxiv.org/abs/1906.04721).
    """
    means = input_means(model, inputs)
    rounded = ModelProto()
    rounded.CopyFrom(model)
    stored = {tensor.name: tensor for tensor in rounded.graph.initializer}
    for node in convolutions(rounded):
        weight, bias = (numpy_helper.to_array(stored[name]) for name in node.input[1:3])
        steps = 127 if is_depthwise(node) else 64  # on either side of zero, as ONNX Runtime has them
        scale = np.abs(weight).max((1, 2, 3), keepdims=True) / steps
        scale[scale == 0] = 1
        near = (np.round(weight / scale) * scale).astype(np.float32)
        error, mean = (weight - near).sum((2, 3)), means[node.input[0]]
        shift = error[:, 0] * mean if is_depthwise(node) else error @ mean
        stored[node.input[1]].CopyFrom(numpy_helper.from_array(near, node.input[1]))
        stored[node.input[2]].CopyFrom(numpy_helper.from_array((bias + shift).astype(np.float32), node.input[2]))
    return rounded


def input_means(model: ModelProto, inputs: list[Array]) -> dict[str, Array]:
    """Mean per channel of each convolution's input, over some films."""
    names = list(dict.fromkeys(node.input[0] for node in convolutions(model)))
    open_model = ModelProto()
    open_model.CopyFrom(model)
    open_model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(open_model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = [[values.mean((0, 2, 3)) for values in session.run(names, {"rgb": one})] for one in inputs]
    return {name: np.mean(values, axis=0) for name, values in zip(names, zip(*found, strict=True), strict=True)}


def convolutions(model: ModelProto) -> list[NodeProto]:
    """The convolutions, in the order of computation."""
    return [node for node in model.graph.node if node.op_type == "Conv"]


def is_depthwise(node: NodeProto) -> bool:
    """Whether each channel of a convolution has a kernel of its own."""
    return any(item.name == "group" and item.i > 1 for item in node.attribute)


def compare(
    real: LungSegmenter, integers: LungSegmenter, pairs: list[Pair], settings: SegmentSection
) -> dict[str, dict[str, float]]:
    """Mean Dice and the number of masks below POOR of both networks, by data set and split."""
    figures = {}
    for name in sorted({f"{pair.dataset} {pair.split}" for pair in pairs}):
        some = [pair for pair in pairs if f"{pair.dataset} {pair.split}" == name]
        row: dict[str, float] = {"films": len(some)}
        for kind, segmenter in (("float", real), ("integer", integers)):
            dice = score(segmenter, some, settings, CONDITIONS["none"], f"{name}, {kind}")["dice"]
            row |= {f"{kind}_dice": round(float(dice.mean()), 5), f"{kind}_under_85": int((dice < POOR).sum())}
        figures[name] = row
        log.info("%s: %s", name, row)
    return figures


if __name__ == "__main__":
    run_stage(main)
