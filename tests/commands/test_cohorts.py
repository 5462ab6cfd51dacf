"""`python -m cxr check FOLDER`: published cohorts and films of unknown origin, to the manifest."""

import difflib
import gzip
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.__main__ import main
from cxr.commands.cohorts import KNOWN, NEUTRAL, Proposal, recognise
from cxr.commands.propose import propose
from cxr.core.config import load_section, read_yaml
from cxr.core.errors import CxrError
from cxr.films.manifest import read_manifest
from cxr.films.medmnist import medmnist_array
from cxr.ingest.config import DataSection
from cxr.ingest.findings import errors
from cxr.ingest.ingest import ingest
from cxr.ingest.validate import validate_cohort
from tests.conftest import phantom, write_dicom, write_image
from tests.settings import machine

ROOT = Path(__file__).parents[2]
FILMS = Path("data/raw/mine")
MEDMNIST = Path("data/raw/pneumoniamnist.npz")


@pytest.fixture
def clone(workspace: Path) -> Path:
    """The settings of the repository in an empty folder."""
    for name in ("params.yaml", "compute.yaml"):
        shutil.copy(ROOT / name, workspace)
    return workspace


def film(name: str, seed: int) -> None:
    write_image(FILMS / name, phantom(seed, 64, 64)[0])


def kermany(below: str = "", val: bool = True) -> None:
    """Kermany's names; patient 1 of each class is in train and in test, so its film in train is dropped."""
    seed = 0
    for split, patients in (("train", range(1, 13)), ("test", (1, 20, 21)), ("val", (30,) if val else ())):
        for patient in patients:
            film(f"{below}{split}/NORMAL/IM-{patient:04d}-000{1 + (split == 'test')}.jpeg", seed := seed + 1)
            cause = ("bacteria", "virus")[patient % 2]
            film(f"{below}{split}/PNEUMONIA/person{patient}_{cause}_{seed}.jpeg", seed := seed + 1)


def kaggle_twice() -> None:
    kermany()
    kermany("chest_xray/")
    (FILMS / "__MACOSX/chest_xray").mkdir(parents=True)
    (FILMS / "train/NORMAL/.DS_Store").write_bytes(b"Bud1")


def nih(lists: bool = True) -> None:
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,View Position,OriginalImage[Width,Height],"]
    labels = ("No Finding", "Pneumonia|Infiltration", "Effusion", "Pneumonia", "No Finding")
    for index in range(30):
        name = f"{index // 2:08d}_{index % 2:03d}.png"
        rows.append(f"{name},{labels[index % 5]},{index % 2},{index // 2},PA,64,64,")
        film(f"images_{index % 12 + 1:03d}/images/{name}", index)
    (FILMS / "Data_Entry_2017.csv").write_text("\r\n".join(rows) + "\r\n")
    if lists:
        names = [row.split(",")[0] for row in rows[1:]]
        (FILMS / "train_val_list.txt").write_text("\n".join(names[:20]))
        (FILMS / "test_list.txt").write_text("\n".join(names[20:]))


def rsna() -> None:
    rows = ["patientId,class"]
    labels = ("Normal", "Lung Opacity", "No Lung Opacity / Not Normal")
    for index in range(24):
        name = f"0004cfab-14fd-4e49-80ba-{index:012d}"
        write_dicom(FILMS / f"stage_2_train_images/{name}.dcm", phantom(index, 64, 64)[0], PatientID=name)
        rows += [f"{name},{labels[index % 3]}"] * (1 + index % 2)  # one row per box
    write_dicom(FILMS / "stage_2_test_images/other.dcm", phantom(99, 64, 64)[0], PatientID="other")
    (FILMS / "stage_2_detailed_class_info.csv").write_text("\n".join(rows))


def covid() -> None:
    for kind, label in enumerate(("COVID", "Normal", "Viral Pneumonia", "Lung_Opacity")):
        for index in range(1, 9):
            pixels, mask = phantom(100 * kind + index, 64, 64)
            write_image(FILMS / f"{label}/images/{label}-{index}.png", pixels)
            write_image(FILMS / f"{label}/masks/{label}-{index}.png", mask)
        (FILMS / f"{label}.metadata.xlsx").write_bytes(b"PK\3\4")


def table(name: str, header: str, rows: Sequence[str]) -> None:
    path = FILMS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "\n".join([header, *rows, ""]).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def chexpert() -> None:
    """Labels in one column per finding; 1, 0, -1 or blank."""
    kinds = ("Frontal,AP,1.0,,", "Frontal,PA,,,1.0", "Frontal,AP,,1.0,-1.0", "Lateral,,1.0,,")
    lines: dict[str, list[str]] = {"train": [], "valid": []}
    for index in range(40):
        split = "valid" if index > 31 else "train"
        name = f"{split}/patient{index:05d}/study1/view1.jpg"
        film(name, index)
        lines[split].append(f"CheXpert-v1.0-small/{name},Male,60,{kinds[index % 4]}")
    for split, rows in lines.items():
        table(f"{split}.csv", "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Pneumonia", rows)


def mimic() -> None:
    """Three compressed tables: split, views and findings per study."""
    splits, views, studies = [], [], []
    for index in range(30):
        name, patient, study = f"02aa804e-bde0afdd-{index:08x}", f"100000{index:02d}", f"5000{index:04d}"
        film(f"files/p10/p{patient}/s{study}/{name}.jpg", index)
        splits.append(f"{name},{study},{patient},{('train', 'validate', 'test')[max(0, index // 6 - 2)]}")
        views.append(f"{name},{patient},{study},{'LATERAL' if index % 6 == 5 else 'PA'},64")
        studies.append(f"{patient},{study},{('1.0,', ',1.0')[index % 2]},")
    table("mimic-cxr-2.0.0-split.csv.gz", "dicom_id,study_id,subject_id,split", splits)
    table("mimic-cxr-2.0.0-metadata.csv.gz", "dicom_id,subject_id,study_id,ViewPosition,Rows", views)
    table("mimic-cxr-2.0.0-chexpert.csv.gz", "subject_id,study_id,No Finding,Pneumonia,Edema", studies[:-1])


def vindr() -> None:
    """Three readers per training film, of whom one is enough."""
    train, test = [], []
    for index in range(32):
        name, split = f"{index:032x}", ("train", "test")[index > 23]
        write_dicom(FILMS / f"{split}/{name}.dicom", phantom(index, 64, 64)[0])
        labels = ("0,1", "1,0", "0,0", "0,1")[index % 4]
        if split == "test":
            test.append(f"{name},{labels}")
        else:
            train += [f"{name},R{reader},{labels if reader else '0,0'}" for reader in range(3)]
    table("annotations/image_labels_train.csv", "image_id,rad_ID,Pneumonia,No finding", train)
    table("annotations/image_labels_test.csv", "image_id,Pneumonia,No finding", test)
    table("annotations/annotations_train.csv", "image_id,rad_id,class_name,x_min", [])


def padchest() -> None:
    """Labels as a list of Python, a Spanish report with commas, a projection per film."""
    labels = ("['normal']", "['pneumonia', 'infiltrates']", "['cardiomegaly']", "['atypical pneumonia']", "['normal']")
    rows = []
    for index in range(30):
        film(f"{index % 3}/{index}_study.png", index)
        view = "L" if index % 10 == 9 else "PA"
        rows.append(
            f'{index},{index}_study.png,{index % 3},{index},{view},"Sin hallazgos, normal.","{labels[index % 5]}"'
        )
    header = ",ImageID,ImageDir,PatientID,Projection,Report,Labels"
    table("PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz", header, rows)


def covid_chestxray() -> None:
    findings = ("Pneumonia/Viral/COVID-19", "No Finding", "Tuberculosis", "Pneumonia")
    rows = []
    for index in range(28):
        film(f"images/{index}.png", index)
        view, modality = ("Axial", "CT") if index % 7 == 6 else ("PA", "X-ray")
        rows.append(f'{index},60,{findings[index % 4]},{view},{modality},images,{index}.png,"cough, fever"')
    table("metadata.csv", "patientid,age,finding,view,modality,folder,filename,clinical_notes", rows)
    film("annotations/lungVAE-masks/0_mask.png", 1)


def tuberculosis(name: str) -> Callable[[], None]:
    def build() -> None:
        for index in range(24):
            film(f"CXR_png/{name}_{index:04d}_{index % 2}.png", index)
            film(f"ManualMask/leftMask/{name}_{index:04d}_{index % 2}.png", 100 + index)
            table(f"ClinicalReadings/{name}_{index:04d}_{index % 2}.txt", "Patient's Sex: F", ["normal"])

    return build


def own_folders(names: Sequence[str] = ("NORMAL", "PNEUMONIA"), below: str = "") -> None:
    for index in range(20 if len(names) < 3 else 36):
        film(f"{below}{names[index % len(names)]}/case{index // 2 if len(names) > 2 else index}_{index}.png", index)


def own_table(header: str, row: str, encoding: str = "utf-8") -> None:
    """A table with one row per film; in `row`, `i` is its number, `l` its label 0 or 1, `p` its patient."""
    rows = [header]
    for index in range(20):
        film(f"images/{index}.png", index)
        rows.append(row.format(i=index, l=index % 2, p=index, s=("train", "test")[index > 13]))
    (FILMS / "table.csv").write_bytes("\n".join(rows).encode(encoding))


def npz(labels: Any) -> None:
    MEDMNIST.parent.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 24, 28, 28), dtype=np.uint8)
    splits = dict(zip(("train", "val", "test"), pixels, strict=True))
    arrays = {f"{split}_images": images for split, images in splits.items()}
    np.savez(MEDMNIST, **arrays, **{f"{split}_labels": labels for split in splits})
    medmnist_array.cache_clear()  # it knows files by name


CASES: dict[str, tuple[Callable[[], None], str, dict[str, int]]] = {
    "kaggle": (kermany, "Kermany chest_xray, Kaggle", {"normal": 15, "pneumonia": 15}),
    "kaggle, nested": (lambda: kermany("chest_xray/"), "Kermany chest_xray, Kaggle", {"normal": 15, "pneumonia": 15}),
    "kaggle, twice": (kaggle_twice, "Kermany chest_xray, Kaggle", {"normal": 15, "pneumonia": 15}),
    "mendeley": (lambda: kermany(val=False), "Kermany chest_xray, Mendeley", {"normal": 14, "pneumonia": 14}),
    "nih": (nih, "NIH ChestX-ray14", {"normal": 12, "pneumonia": 12}),
    "nih without lists": (lambda: nih(False), "NIH ChestX-ray14", {"normal": 12, "pneumonia": 12}),
    "rsna": (rsna, "RSNA Pneumonia Detection", {"normal": 8, "pneumonia": 8}),
    "covid": (covid, "COVID-19 Radiography", {"normal": 8, "pneumonia": 8}),
    "chexpert": (chexpert, "CheXpert", {"normal": 10, "pneumonia": 10}),
    "mimic": (mimic, "MIMIC-CXR-JPG", {"normal": 15, "pneumonia": 10}),
    "vindr": (vindr, "VinDr-CXR", {"normal": 16, "pneumonia": 8}),
    "padchest": (padchest, "PadChest", {"normal": 9, "pneumonia": 12}),
    "covid-chestxray": (covid_chestxray, "covid-chestxray-dataset", {"normal": 6, "pneumonia": 12}),
    "montgomery": (tuberculosis("MCUCXR"), "Montgomery", {"normal": 12, "tuberculosis": 12}),
    "shenzhen": (tuberculosis("CHNCXR"), "Shenzhen", {"normal": 12, "tuberculosis": 12}),
    "folders": (own_folders, "class folders", {"normal": 10, "pneumonia": 10}),
    "folders in a folder": (lambda: own_folders(below="a/b/"), "class folders", {"normal": 10, "pneumonia": 10}),
    "folders of a split": (lambda: own_folders(below="train/"), "class folders", {"normal": 10, "pneumonia": 10}),
    "folders of other names": (lambda: own_folders(("TB", "healthy")), "class folders", {"healthy": 10, "TB": 10}),
    "three folders": (lambda: own_folders(("a", "b", "Normal")), "class folders", {"Normal": 12, "a": 12, "b": 12}),
    "korean folders": (lambda: own_folders(("폐렴", "정상")), "class folders", {"정상": 10, "폐렴": 10}),
    "table": (lambda: own_table("path,label", "images/{i}.png,{l}"), "label table", {"normal": 10, "pneumonia": 10}),
    "table of stems": (lambda: own_table("id,Target", "{i},{l}.0"), "label table", {"normal": 10, "pneumonia": 10}),
    "table of Excel": (
        lambda: own_table("Datei;Befund für Patient;Patient ID", "{i}.png;{l};P{p}", "cp1252"),
        "label table",
        {"normal": 10, "pneumonia": 10},
    ),
    "table of Windows": (
        lambda: own_table("file\tdiagnosis\tsplit", "C:\\x\\images\\{i}.png\t{l}\t{s}", "utf-16"),
        "label table",
        {"normal": 10, "pneumonia": 10},
    ),
    "table with blanks": (
        lambda: own_table("index,image,label", "{i},{i}.png,{l}") or own_blank(),
        "label table",
        {"normal": 10, "pneumonia": 9},
    ),
    "pneumoniamnist": (
        lambda: npz((np.arange(24) % 2).reshape(-1, 1)),
        "PneumoniaMNIST",
        {"normal": 36, "pneumonia": 36},
    ),
}


def own_blank() -> None:
    text = (FILMS / "table.csv").read_text()
    (FILMS / "table.csv").write_text(text.replace("3,3.png,1", "3,3.png,", 1))


def proposal() -> Proposal:
    place = MEDMNIST if MEDMNIST.exists() else FILMS
    return recognise(place) or propose(place)


@pytest.mark.parametrize("case", CASES)
def test_a_cohort_is_recognised_and_its_settings_read_all_its_films(clone: Path, case: str) -> None:
    build, name, expected = CASES[case]
    build()
    found = proposal()
    assert name in found.name
    section = DataSection.model_validate({**found.data, "patient_ids": "as_is"})
    ingest(section, machine(workers=1), Path("data"))
    records, classes = read_manifest(Path("data/manifest.csv"))
    labels = [record.label for record in records]
    assert {one: labels.count(one) for one in classes} == expected
    there = {(record.split, record.label) for record in records}
    assert {(split, one) for split in ("train", "val") for one in classes} <= there  # as training needs
    assert errors(validate_cohort(section, b"", 1)[1]) == []


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: npz(np.zeros((24, 14), int)), "this is ChestMNIST .* 14 labels per film .* one class per film"),
        (lambda: film("a.png", 1), "1 films, but no class folders, and there is no label table; move the films"),
        (lambda: FILMS.mkdir(parents=True), "no films; copy films"),
        (lambda: None, "no such file or folder"),
    ],
    ids=["chestmnist", "one film", "empty", "missing"],
)
def test_what_cannot_be_used_is_an_error_that_says_why(clone: Path, build: Callable[[], None], message: str) -> None:
    build()
    with pytest.raises(CxrError, match=message):
        proposal()


def test_the_written_section_keeps_comments_order_and_other_sections(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kermany()
    before = Path("params.yaml").read_text(encoding="utf-8")
    main(["check", str(FILMS), "--write"])
    assert "Kermany chest_xray, Kaggle (chest-xray-pneumonia): folder train/NORMAL" in capsys.readouterr().out
    after = Path("params.yaml").read_text(encoding="utf-8")
    added = [line[2:] for line in difflib.ndiff(before.split("\n"), after.split("\n")) if line[0] == "+"]
    changed = {line.split(":")[0].strip() for line in added}
    assert changed == {"root", "path_pattern", "published_val", "on_leakage"}
    assert after.count("#") == before.count("#")
    assert load_section("data", DataSection).root == "data/raw/mine"


def test_maps_and_lists_are_written_as_they_are_read(clone: Path) -> None:
    nih()
    before = Path("params.yaml").read_text(encoding="utf-8")
    main(["check", str(FILMS), "--write"])
    data = load_section("data", DataSection)
    assert [rule.label for rule in data.label_rules] == ["pneumonia", "normal", "exclude"]
    assert data.split_lists == {"train": "train_val_list.txt", "test": "test_list.txt"}
    assert read_yaml(Path("params.yaml")).keys() == read_yaml(ROOT / "params.yaml").keys()
    assert Path("params.yaml").read_text(encoding="utf-8").count("#") == before.count("#")


def test_without_write_the_section_is_printed_and_nothing_changes(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_folders()
    before = Path("params.yaml").read_bytes()
    main(["check", str(FILMS)])
    assert "  root: data/raw/mine\n" in capsys.readouterr().out
    assert Path("params.yaml").read_bytes() == before


def test_every_entry_names_its_source_and_has_valid_settings(clone: Path) -> None:
    current = read_yaml(Path("params.yaml"))["data"]
    for entry in read_yaml(KNOWN).values():
        assert all(entry[key] for key in ("name", "marks", "citation", "licence", "link"))
        assert ("rejected" in entry) != ("settings" in entry)
        if "settings" in entry:
            assert entry["know"]
            assert entry["settings"].keys() <= current.keys()
            DataSection.model_validate({**current, **NEUTRAL, **entry["settings"]})


def test_the_page_lists_every_cohort_that_is_recognised() -> None:
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    for entry in read_yaml(KNOWN).values():
        if "settings" in entry:
            assert f"| [{entry['name']}]({entry['link']}) | {entry['licence']} |" in page
