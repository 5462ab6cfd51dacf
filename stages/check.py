"""check: every section of params.yaml and compute.yaml, before any work -> data/checked.

DVC removes the outs of a stage before it runs it. A value that its own stage refused would have cost the outs of the
last run, and perhaps hours of the stages before it; refused here, it costs a second.
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
    """Every mistake in params.yaml and compute.yaml, one line each."""
    compute = read_yaml(COMPUTE_FILE)
    found = section_errors(read_yaml(PARAMS_FILE), SECTIONS, PARAMS_FILE)
    found += validation_errors(compute, Compute, str(COMPUTE_FILE))
    if isinstance(compute.get("sagemaker"), dict):
        found += validation_errors(compute["sagemaker"], SageMakerSection, f"{COMPUTE_FILE}: sagemaker")
    return found


def main() -> None:
    """Name all mistakes at once, or write a file that never changes: the others wait for it and never rerun for it."""
    found = settings_mistakes()
    if not found:
        data = parse_section(read_yaml(PARAMS_FILE)["data"], DataSection, "data")
        found = missing_films(data) + missing_key(data)
    if found:
        raise CxrError("\n".join(found))
    write_text(Path("data/checked"), "params.yaml and compute.yaml can be read\n")


if __name__ == "__main__":
    run_stage(main)
