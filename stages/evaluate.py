"""evaluate: data/npz, models/classifier.ckpt -> metrics/, plots/, data/pictures, models/operating_point.json."""

from pathlib import Path

from cxr.console.stage import run_stage
from cxr.core.config import load_section
from cxr.core.folders import atomic_folder
from cxr.evaluate.config import EvaluateSection
from cxr.models.portable import use_portable_arithmetic


def main() -> None:
    """Score the held-out films, choose the operating point, and write what the results are and how sure they are."""
    use_portable_arithmetic()  # before numpy and torch are loaded: a checkpoint has the same figures everywhere
    from cxr.compute.settings import load_compute
    from cxr.evaluate.details.data import data_details
    from cxr.evaluate.details.segmentation import segmentation_details
    from cxr.evaluate.evaluate import ResultPaths, evaluate
    from cxr.evaluate.lung_sheet import contact_sheet
    from cxr.evaluate.pictures import publish_pictures
    from cxr.evaluate.plots import write_learning_curves
    from cxr.films.acquisition_table import read_acquisition
    from cxr.models.classifier import load_classifier
    from cxr.segment.mask_table import read_framing

    classifier = load_classifier(Path("models/classifier.ckpt"))
    section = load_section("evaluate", EvaluateSection)
    earlier = {
        "data": data_details(Path("data/audit.json")),
        "segmentation": segmentation_details(Path("data/masks.csv")),
    }
    with atomic_folder(Path("data/pictures")) as pictures, atomic_folder(Path("plots")) as plots:
        paths = ResultPaths(Path("metrics"), plots, pictures, Path("models/operating_point.json"))
        statistics = read_acquisition(Path("data/acquisition.csv")).join(read_framing(Path("data/masks.csv")))
        evaluate(classifier, Path("data/npz"), statistics, section, load_compute(), earlier, paths)
        contact_sheet(Path("data/masks.csv"), Path("data/npz"), pictures / "lungs_worst_first.png")
        write_learning_curves(plots / "learning_curves.csv", Path("models/history.csv"))
        publish_pictures(pictures, plots, section.pictures_in_git, earlier["data"])


if __name__ == "__main__":
    run_stage(main)
