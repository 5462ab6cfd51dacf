"""Layouts of a cohort: class folders, label table, DICOM, MedMNIST."""

from pathlib import Path

from cxr.core.errors import CxrError
from cxr.films.manifest import SPLITS
from cxr.films.medmnist import medmnist_array, medmnist_names
from cxr.ingest.config import EXCLUDE, DataSection
from cxr.ingest.entries import FilmEntry
from cxr.ingest.findings import Finding, error, of_fault
from cxr.ingest.folders import folder_entries
from cxr.ingest.labels import LabelReader
from cxr.ingest.tabular import table_entries


def find_entries(settings: DataSection) -> tuple[list[FilmEntry], list[Finding]]:
    """Every film under `data.root`, sorted by name, and what is wrong with files, labels and rows."""
    root = Path(settings.root)
    if not root.exists():
        return [], [
            error(f"params.yaml: data.root: {root}: no such file or folder", "correct the path or fetch the data")
        ]
    if root.is_dir() == (settings.layout == "medmnist"):
        kind, wanted = ("folder", "an .npz file") if root.is_dir() else ("file", "a folder of films")
        return [], [
            error(
                f"params.yaml: data.root: {root} is a {kind}, layout '{settings.layout}' needs {wanted}",
                "correct data.root or data.layout",
            )
        ]
    if settings.layout == "medmnist":
        entries, findings = _medmnist(root, settings)
    elif settings.layout == "folders":
        entries, findings = folder_entries(root, settings)
    else:
        entries, findings = table_entries(root, settings)
    if not entries and not any(finding.severity == "error" for finding in findings):
        findings.append(error(f"{root}: no films in layout '{settings.layout}'", "check data.root and data.layout"))
    return sorted(entries, key=lambda entry: entry.name), findings


def _medmnist(root: Path, settings: DataSection) -> tuple[list[FilmEntry], list[Finding]]:
    labels, entries, findings = LabelReader(settings), [], []
    try:
        names = medmnist_names(str(root))
        splits = [split for split in SPLITS if f"{split}_images" in names]
        if not splits:
            remedy = "name them train_images, train_labels, val_images and so on"
            return [], [error(f"{root}: no films; it has {', '.join(names) or 'no arrays'}", remedy)]
        for split in splits:
            images, given = medmnist_array(str(root), f"{split}_images"), medmnist_array(str(root), f"{split}_labels")
            fault = _image_fault(f"{root}: {split}_images", images.shape, settings)
            fault = fault or _label_fault(f"{root}: {split}_labels", images.shape, given.shape)
            if fault:
                findings.append(fault)
                continue
            for index, value in enumerate(given.reshape(-1).tolist()):
                address = f"{root}#{split}/{index}"
                label = labels.read(f"{value:g}" if isinstance(value, float) else str(value), address)
                if label and label != EXCLUDE:
                    entries.append(FilmEntry(address, f"{split}_{index:05d}", label, split, None))
    except CxrError as fault:
        return [], [of_fault(fault)]
    return entries, findings + labels.findings(str(root))


def _image_fault(where: str, shape: tuple[int, ...], settings: DataSection) -> Finding | None:
    """An error where no image can be read: of another shape than films have, or too small."""
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))):
        remedy = "save them with the shape (films, height, width) or (films, height, width, 3)"
        return error(f"{where}: an array of shape {shape}, not of grey or RGB films", remedy)
    if shape[0] and min(shape[1:3]) < settings.min_px:
        problem = f"{where}: films of {shape[1]} x {shape[2]} pixels are smaller than data.min_px ({settings.min_px})"
        return error(problem, f"set data.min_px: {min(shape[1:3])}")
    return None


def _label_fault(where: str, images: tuple[int, ...], labels: tuple[int, ...]) -> Finding | None:
    """An error where labels are not one per image."""
    if not labels or not images or labels[0] != images[0]:
        films, given = (shape[0] if shape else 0 for shape in (images, labels))
        return error(f"{where}: {given} labels for {films} films", "give one label per film; save the file again")
    if len(labels) > 2 or (len(labels) == 2 and labels[1] != 1):
        return error(
            f"{where}: {labels[-1]} labels per film, a multi-label set such as ChestMNIST",
            "the pipeline predicts one class per film: write a file whose labels have the shape (films, 1), such as "
            "one column of these",
        )
    return None
