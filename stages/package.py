"""package: models/classifier.ckpt, operating point, segmenter, metrics -> models/bundle, models/model.tar.gz."""

from pathlib import Path

from cxr.core.config import load_section
from cxr.models.portable import use_portable_arithmetic
from cxr.package.config import PackageSection
from cxr.runtime.console import run_stage


def main() -> None:
    """Write the bundle: the classifier with everything needed to predict on a film."""
    use_portable_arithmetic()  # before numpy and torch are loaded
    from cxr.package.build import Places, build_bundle

    places = Places(
        classifier=Path("models/classifier.ckpt"),
        operating_point=Path("models/operating_point.json"),
        npz=Path("data/npz"),
        acquisition=Path("data/acquisition.csv"),
        segmenter=Path("models/lung_segmenter.onnx"),
        metrics=Path("metrics"),
        licence=Path("LICENSE"),
        requirements=Path("requirements-serve.txt"),
    )
    build_bundle(places, load_section("package", PackageSection), Path("models/bundle"), Path("models/model.tar.gz"))


if __name__ == "__main__":
    run_stage(main)
