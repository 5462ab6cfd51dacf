"""The terms under which each part of a bundle may be passed on."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cxr.core.files import write_text
from cxr.models.weights_source import PACKAGES

PARTS = """\
# Parts of this bundle and their terms

| part | terms |
|---|---|
| code, settings, documents, `lung_segmenter.onnx` | MIT: LICENSE |
| films behind `lung_segmenter.onnx` | Kermany et al. 2018, masks by V7 Labs, both CC BY 4.0; no film is in the file |
| starting weights of `classifier.onnx` | {weights} |
| films behind `classifier.onnx` | those of `data.root` at training: their owner's terms; no film is in the file |
"""


def write_licences(folder: Path, licence: Path, weights: str, backbone: str) -> None:
    """Write the folder: this repository's licence, that of the starting weights, and which part has which.

    Args:
        folder: to write.
        licence: this repository's.
        weights: `train.weights`, as the checkpoint tells.
        backbone: `train.backbone`, which names the package of weights.
    """
    folder.mkdir()
    write_text(folder / "LICENSE", licence.read_text(encoding="utf-8"))
    terms = f"`{weights}`: their publisher's"
    if weights == "package":
        terms = f"Apache-2.0 ({PACKAGES[backbone]}): LICENSE.weights"
        write_text(folder / "LICENSE.weights", _licence_of(PACKAGES[backbone]))
    elif weights == "none":
        terms = "none: trained from random weights"
    write_text(folder / "PARTS.md", PARTS.format(weights=terms))


def _licence_of(package: str) -> str:
    try:
        text = distribution(package).read_text("LICENSE")
    except PackageNotFoundError:
        text = None
    return text or "Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0\n"
