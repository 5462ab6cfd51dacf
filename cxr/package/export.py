"""Export of the classifier to ONNX and TorchScript, with parity checks."""

import copy
import io
import math
import tempfile
import warnings
import zipfile

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cxr.bundle.network import ACTIVATION, FEATURES, FILMS, INPUT, LOGITS, Network
from cxr.core.errors import CxrError
from cxr.models.classifier import Classifier, Images, Logits

LINEAR_TOLERANCE = 1e-4  # of logits, in the test whether the head is linear on the pooled map
OPSET = 18
LARGE = 1024  # weights with fewer elements keep float32
DROPPED = (".debug_pkl", "/.data/serialization_id")  # members of a TorchScript file
INNER = -3  # stage whose map gives the features: adults lie farther from children there than in the last one
STEPS = 32767  # of 16 bits, to either side of zero
# Shares of the largest logit (at least 1); of ONNX by how the weights are stored.
ONNX_TOLERANCE = {"float32": 1e-4, "int16": 1e-3}
SCRIPT_TOLERANCE = 1e-4


class ServedClassifier(nn.Module):
    """A classifier with the outputs of the contract in `cxr.bundle.network`.

    The class activation map (Zhou et al. 2016) is the last feature map weighted by the head. It is exact only if the
    head is linear on the map's mean. If so, `mapped` is true; otherwise the third output is left out.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.eval()  # the whole module: exporters restore the mode of the outermost one
        self.mapped = False
        with torch.no_grad():
            self.mapped = self._head_is_linear(probe(classifier.facts["image_px"]))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the contract; `image` is uint8 (N, 4, H, W)."""
        last, inner = self._maps(image)
        logits = self.classifier.with_mirror(self.classifier.logits(last), image)
        features = _mean_and_deviation(inner.float())
        if not self.mapped:
            return logits, features
        activation = torch.einsum("kc,nchw->nkhw", self._head().weight, last).float()
        return logits, features, activation

    def _maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The last feature map, as `feature_map` gives it, and that of stage INNER, (N, C, h, w)."""
        backbone, prepared = self.classifier.backbone, self.classifier.prepare(image)
        last, (inner,) = backbone.forward_intermediates(prepared, indices=[INNER])  # type: ignore[operator]
        return last, inner

    def _head_is_linear(self, image: Tensor) -> bool:
        features = self.classifier.feature_map(image)
        if features.ndim != 4 or features.shape[1] != self._head().in_features:
            return False
        linear = self._head()(features.mean(dim=(2, 3))).squeeze(1)
        return torch.allclose(linear.float(), self.classifier.logits(features), atol=LINEAR_TOLERANCE)

    def _head(self) -> nn.Linear:
        head = self.classifier.head[-1]
        assert isinstance(head, nn.Linear)
        return head


def _mean_and_deviation(maps: Tensor) -> Tensor:
    """Mean and standard deviation of each channel of the maps (N, C, h, w): (N, 2 C)."""
    mean = maps.mean(dim=(2, 3), keepdim=True)
    deviation = torch.sqrt((maps - mean).square().mean(dim=(2, 3)))
    return torch.cat([mean.flatten(1), deviation], dim=1)


def probe(image_px: int, films: int = 2, seed: int = 0) -> Tensor:
    """Random smooth images with a mask, uint8 (films, 4, image_px, image_px)."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.integers(0, 256, (films, 4, 7, 7)).astype(np.float32))
    fine = nn.functional.interpolate(coarse, size=(image_px, image_px), mode="bilinear")
    fine[:, 3] = torch.where(fine[:, 3] > 127, 255.0, 0.0)
    return fine.to(torch.uint8)


def to_onnx(served: ServedClassifier, weights: str) -> bytes:
    """The bytes of an ONNX file for any number of films; `weights` is float32 or int16.

    Uses torch's TorchScript-based exporter. The newer one needs another package, and its file of a convolutional
    network is not smaller, faster or more exact.
    """
    outputs = [LOGITS, FEATURES, *([ACTIVATION] if served.mapped else [])]
    served = with_unit_variances(served)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is deprecated
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
    declare_shapes(model, served)
    if weights == "int16":
        quantize_int16(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def declare_shapes(model: onnx.ModelProto, served: ServedClassifier) -> None:
    """Declare the outputs' true shapes: any number of films, then the lengths that the network gives.

    The exporter cannot infer them past a padding that is computed, and then names a side of the map after the films.
    """
    with torch.no_grad():
        shapes = [output.shape for output in served(probe(served.classifier.facts["image_px"]))]
    for output, (_, *lengths) in zip(model.graph.output, shapes, strict=True):
        declared = output.type.tensor_type.shape
        del declared.dim[:]
        declared.dim.add().dim_param = FILMS
        for length in lengths:
            declared.dim.add().dim_value = length


def with_unit_variances(served: ServedClassifier) -> ServedClassifier:
    """A copy whose batch norms have variance 1, with the standard deviation divided out of their weights.

    The exporter folds batch norms into convolutions with torch's square root, which MKL computes: its last bit depends
    on the processor. numpy's square root is correctly rounded, and that of 1 is 1 everywhere.
    """
    served = copy.deepcopy(served)
    for norm in served.modules():
        if isinstance(norm, _BatchNorm) and norm.affine and norm.running_var is not None:
            weight, variance = norm.weight.detach().numpy(), norm.running_var.numpy()
            weight[:] = weight / np.sqrt(variance.astype(np.float64) + norm.eps)
            variance[:] = 1
            norm.eps = 0.0
    return served


def quantize_int16(model: onnx.ModelProto) -> None:
    """Store large weights in 16 bits with a scale per output channel; ONNX Runtime restores them on loading.

    Half the bytes and the same speed. Steps are uniform over a channel's range, so the largest weights are about 20
    times more precise than in float16.
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
    """The bytes of a TorchScript file with the same inputs and outputs, without paths of this machine."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; the file is here for those who still load it
        example = (probe(served.classifier.facts["image_px"]),)
        traced = torch.jit.trace(served, example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, buffer)
    return _without_debug(buffer.getvalue())


def _without_debug(script: bytes) -> bytes:
    """Drop paths of this machine's source files and their hash, so that equal weights give equal bytes."""
    kept = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(script)) as old, zipfile.ZipFile(kept, "w", zipfile.ZIP_STORED) as new:
        for member in old.infolist():
            if not member.filename.endswith(DROPPED):
                new.writestr(zipfile.ZipInfo(member.filename, (1980, 1, 1, 0, 0, 0)), old.read(member))
    return kept.getvalue()


def check_onnx(expected: Logits, network: Network, images: Images, weights: str) -> float:
    """The largest difference between the logits of PyTorch and ONNX Runtime on some stored images.

    Raises:
        CxrError: it is above the tolerance of the weight format.
    """
    return _within(expected, network.score(images).logits, ONNX_TOLERANCE[weights], "classifier.onnx")


def check_script(expected: Logits, script: bytes, images: Images) -> float:
    """As `check_onnx`, for TorchScript."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; the file is for those who still load it
        loaded = torch.jit.load(io.BytesIO(script))  # type: ignore[no-untyped-call]
        logits = loaded(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))[0].numpy()
    return _within(expected, logits, SCRIPT_TOLERANCE, "TorchScript")


def _within(ours: Logits, theirs: Logits, tolerance: float, what: str) -> float:
    difference = float(np.abs(ours - theirs).max())
    if not difference <= tolerance * max(1.0, float(np.abs(ours).max())):
        raise CxrError(
            f"{what}: logits differ from PyTorch's by {difference:.2g}, more than {tolerance:g} of the largest; "
            "set package.weights: float32, or report the backbone"
        )
    return difference
