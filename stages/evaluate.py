"""evaluate: data/npz, models/classifier.ckpt -> metrics/, plots/, data/pictures, models/operating_point.json."""

from pathlib import Path

from cxr.core.config import load_section
from cxr.core.files import atomic_folder
from cxr.evaluate.config import EvaluateSection
from cxr.models.portable import use_portable_arithmetic
from cxr.runtime.console import run_stage


def main() -> None:
    """Score the held-out films, choose the operating point, and write metrics with confidence intervals, and plots."""
    use_portable_arithmetic()  # before numpy and torch are loaded; gives the same metrics on every machine
    from cxr.acquisition.table import framing, read_acquisition
    from cxr.evaluate.curves import write_learning_curves
    from cxr.evaluate.evaluate import ResultPaths, evaluate
    from cxr.evaluate.pictures import contact_sheet, publish_pictures
    from cxr.evaluate.results import data_details, segmentation_details
    from cxr.models.classifier import load_classifier
    from cxr.runtime.compute import load_compute
    from cxr.segment.table import read_mask_table

    classifier = load_classifier(Path("models/classifier.ckpt"))
    section = load_section("evaluate", EvaluateSection)
    earlier = {
        "data": data_details(Path("data/audit.json")),
        "segmentation": segmentation_details(Path("data/masks.csv")),
    }
    with atomic_folder(Path("data/pictures")) as pictures, atomic_folder(Path("plots")) as plots:
        paths = ResultPaths(Path("metrics"), plots, pictures, Path("models/operating_point.json"))
        statistics = read_acquisition(Path("data/acquisition.csv")).join(
            framing(read_mask_table(Path("data/masks.csv")))
        )
        evaluate(classifier, Path("data/npz"), statistics, section, load_compute(), earlier, paths)
        contact_sheet(Path("data/masks.csv"), Path("data/npz"), pictures / "lungs_worst_first.png")
        write_learning_curves(plots / "learning_curves.csv", Path("models/history.csv"))
        publish_pictures(pictures, plots, section.pictures_in_git, earlier["data"])


if __name__ == "__main__":
    run_stage(main)
