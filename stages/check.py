"""check: params.yaml, compute.yaml -> data/checked.

All sections are validated before any work. DVC removes the outputs of a stage before running it, so an invalid value
that only its own stage reported would cost the outputs of the last run, and the time of the stages before it.
"""

from pathlib import Path

from cxr.aws.config import SageMakerSection
from cxr.core.config import PARAMS_FILE, Section, parse_section, read_yaml, section_errors, validation_errors
from cxr.core.errors import CxrError
from cxr.core.files import write_text
from cxr.evaluate.config import EvaluateSection
from cxr.ingest.config import DataSection, missing_films
from cxr.ingest.pseudonyms import missing_key
from cxr.package.config import PackageSection
from cxr.preprocess.config import PreprocessSection
from cxr.runtime.compute import COMPUTE_FILE, Compute
from cxr.runtime.console import run_stage
from cxr.segment.config import SegmentSection
from cxr.train.config import TrainSection
from demo.config import DemoSection

SECTIONS: dict[str, type[Section]] = {
    "demo": DemoSection,
    "data": DataSection,
    "segment": SegmentSection,
    "preprocess": PreprocessSection,
    "train": TrainSection,
    "evaluate": EvaluateSection,
    "package": PackageSection,
}


def settings_mistakes() -> list[str]:
    """Every error in params.yaml and compute.yaml, one line each."""
    compute = read_yaml(COMPUTE_FILE)
    found = section_errors(read_yaml(PARAMS_FILE), SECTIONS, PARAMS_FILE)
    found += validation_errors(compute, Compute, str(COMPUTE_FILE))
    if isinstance(compute.get("sagemaker"), dict):
        found += validation_errors(compute["sagemaker"], SageMakerSection, f"{COMPUTE_FILE}: sagemaker")
    return found


def main() -> None:
    """Report all errors at once, or write a constant file: later stages depend on it but never rerun because of it."""
    found = settings_mistakes()
    if not found:
        data = parse_section(read_yaml(PARAMS_FILE)["data"], DataSection, "data")
        found = missing_films(data) + missing_key(data)
    if found:
        raise CxrError("\n".join(found))
    write_text(Path("data/checked"), "params.yaml and compute.yaml can be read\n")


if __name__ == "__main__":
    run_stage(main)
