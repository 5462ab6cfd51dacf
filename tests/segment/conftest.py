"""A segmenter without a network: what is dark in the middle of the film is lung."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from cxr.segment.config import SegmentSection
from tests.settings import segmentation

FRAME, INNER = 128, 64


def write_dark_is_lung(path: Path, level: float = 120.0, **facts: str) -> Path:
    """An ONNX file with the segmenter's contract: sigmoid of (level - red) / 8; `facts` join its metadata."""
    shape = ["films", 3, INNER, INNER]
    nodes = [
        helper.make_node("Slice", ["rgb", "zero", "one", "channel"], ["red"]),
        helper.make_node("Sub", ["level", "red"], ["darkness"]),
        helper.make_node("Div", ["darkness", "softness"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    constants = [
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("channel", TensorProto.INT64, [1], [1]),
        helper.make_tensor("level", TensorProto.FLOAT, [1], [level]),
        helper.make_tensor("softness", TensorProto.FLOAT, [1], [8.0]),
    ]
    graph = helper.make_graph(
        nodes,
        "dark_is_lung",
        [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["films", 1, INNER, INNER])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"frame_px": str(FRAME), "inner_px": str(INNER), "version": "test"} | facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def settings() -> SegmentSection:
    return segmentation()
