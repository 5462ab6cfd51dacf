"""The served classifier as ONNX and as TorchScript."""

import io
import math
import tempfile
import warnings
import zipfile

import numpy as np
import onnx
import torch

from cxr.bundle.network import ACTIVATION, FEATURES, FILMS, INPUT, LOGITS
from cxr.package.served import ServedClassifier, probe

OPSET = 18
LARGE = 1024  # elements from which a weight is worth shortening
DROPPED = (".debug_pkl", "/.data/serialization_id")  # members of a TorchScript file
STEPS = 32767  # of 16 bits, to either side of zero


def to_onnx(served: ServedClassifier, weights: str) -> bytes:
    """The bytes of an ONNX file for any number of films; `weights` is float32 or int16.

    The exporter is the one that follows TorchScript: torch's newer one needs a further package and gives no smaller,
    faster or more exact file for a convolutional network.
    """
    outputs = [LOGITS, FEATURES, *([ACTIVATION] if served.mapped else [])]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter itself, that it will go one day
        path = f"{folder}/classifier.onnx"
        torch.onnx.export(
            served,
            (probe(served.classifier.facts["image_px"]),),
            path,
            input_names=[INPUT],
            output_names=outputs,
            dynamic_axes={name: {0: FILMS} for name in (INPUT, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(path)
    if weights == "int16":
        shorten(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def shorten(model: onnx.ModelProto) -> None:
    """Keep large weights in 16 bits with a scale for each output channel; opening the file restores them.

    Half the bytes and the same speed. Steps are even over a channel's range, so that the largest weights, which carry
    the sum, are some 20 times finer than in float16.
    """
    restored, scales = [], []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or math.prod(weight.dims) < LARGE or len(weight.dims) < 2:
            continue
        name, values = weight.name, onnx.numpy_helper.to_array(weight)
        span = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
        scale = np.where(span > 0, span / STEPS, 1).astype(np.float32)
        weight.CopyFrom(onnx.numpy_helper.from_array(np.rint(values / scale).astype(np.int16), f"{name}.steps"))
        restored += [
            onnx.helper.make_node("Cast", [weight.name], [f"{name}.float"], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name]),
        ]
        scales.append(onnx.numpy_helper.from_array(scale, f"{name}.scale"))
    model.graph.initializer.extend(scales)
    nodes = [*restored, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def to_torchscript(served: ServedClassifier) -> bytes:
    """The bytes of a TorchScript file with the same inputs and outputs, without the paths of this machine."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; the file is here for those who still load it
        example = (probe(served.classifier.facts["image_px"]),)
        traced = torch.jit.trace(served, example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, buffer)
    return _without_debug(buffer.getvalue())


def _without_debug(script: bytes) -> bytes:
    """Drop what names source files of this machine, and the hash that was made of them: equal weights, equal bytes."""
    kept = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(script)) as old, zipfile.ZipFile(kept, "w", zipfile.ZIP_STORED) as new:
        for member in old.infolist():
            if not member.filename.endswith(DROPPED):
                new.writestr(zipfile.ZipInfo(member.filename, (1980, 1, 1, 0, 0, 0)), old.read(member))
    return kept.getvalue()
