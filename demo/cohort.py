"""The cohort: patients, splits, labels and file formats, and writing it to a folder."""

import functools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cxr.core.files import atomic_folder
from cxr.runtime.compute import Compute
from cxr.runtime.parallel import map_films
from demo.anatomy import sample_anatomy, sample_pose
from demo.config import DemoSection
from demo.dicom import ENCODINGS, STATEMENT, Encoding, encode_dicom
from demo.film import draw_film, sample_exposure
from demo.opacity import sample_pneumonia

LABELS = ("NORMAL", "PNEUMONIA")
TEST_SHARE = 1 / 3  # of the patients of each label
FILMS = (1, 2, 3, 4)  # per patient
FILM_SHARES = (0.2, 0.3, 0.3, 0.2)  # of the patients
DICOM_SHARE = 0.05

README = f"""# Synthetic chest films

{STATEMENT} They exist so that the pipeline runs in a fresh clone, and say nothing about how well a model reads
real films. Written by `python -m stages.demo`; the same parameters give the same bytes.

- `train/`, `test/`: one folder a label; `P0012_02.png` is the second film of patient P0012, who is in one split only.
- `lung_masks/`: the true lung fields of each film (0 or 255, film size), with the part behind the heart and the
  consolidated part.
"""


@dataclass(frozen=True)
class PlannedFilm:
    """One film before it is drawn."""

    patient: int
    number: int  # of the patient's films, from 1
    split: str
    label: str
    encoding: str | Encoding  # file suffix, or how a DICOM file stores its pixels

    @property
    def patient_id(self) -> str:
        """Such as P0012."""
        return f"P{self.patient:04d}"

    @property
    def stem(self) -> str:
        """Such as P0012_02."""
        return f"{self.patient_id}_{self.number:02d}"


def plan_cohort(section: DemoSection) -> list[PlannedFilm]:
    """Decide splits, labels and formats; splits and formats do not depend on the label."""
    rng = np.random.default_rng(section.seed)
    order = rng.permutation(section.patients)
    films: list[PlannedFilm] = []
    for label, members in zip(LABELS, np.array_split(order, 2), strict=True):
        tests = round(TEST_SHARE * len(members))
        for split, patients in (("test", members[:tests]), ("train", members[tests:])):
            counts = rng.choice(FILMS, len(patients), p=FILM_SHARES)
            names = [(int(p) + 1, n + 1) for p, count in zip(patients, counts, strict=True) for n in range(count)]
            encodings = _encodings(len(names), rng)
            films += [PlannedFilm(*name, split, label, kind) for name, kind in zip(names, encodings, strict=True)]
    return sorted(films, key=lambda film: film.stem)


def _encodings(count: int, rng: np.random.Generator) -> list[str | Encoding]:
    """Shuffled formats of one label in one split: each kind of DICOM file at least once, the rest PNG and JPEG."""
    dicoms = max(len(ENCODINGS), round(DICOM_SHARE * count))
    kinds: list[str | Encoding] = [ENCODINGS[index % len(ENCODINGS)] for index in range(min(dicoms, count))]
    kinds += [(".png", ".jpg")[index % 2] for index in range(count - len(kinds))]
    return [kinds[index] for index in rng.permutation(count)]


def write_cohort(folder: Path, section: DemoSection, compute: Compute) -> int:
    """Draw the cohort into a folder, which it replaces as a whole; returns the number of films."""
    films = plan_cohort(section)
    with atomic_folder(folder) as temporary:
        for split in ("train", "test"):
            (temporary / "lung_masks" / split).mkdir(parents=True)
            for label in LABELS:
                (temporary / split / label).mkdir(parents=True)
        write = functools.partial(_write_film, temporary.resolve(), section.seed)
        count = sum(1 for _ in map_films(write, films, compute, "demo"))
        (temporary / "README.md").write_text(README, encoding="utf-8")
    return count


def _write_film(folder: Path, seed: int, film: PlannedFilm) -> None:
    """Draw and write one film and its mask. Each random stream has its own seed, so that they are independent."""
    anatomy = sample_anatomy(np.random.default_rng([seed, film.patient, 0]))
    sick = film.label == "PNEUMONIA"
    disease = sample_pneumonia(anatomy, np.random.default_rng([seed, film.patient, 1])) if sick else None
    rng = np.random.default_rng([seed, film.patient, 2, film.number])
    pose, exposure = sample_pose(anatomy, rng), sample_exposure(rng)
    quality = int(rng.integers(85, 96))
    pixels, mask = draw_film(anatomy, pose, exposure, disease, rng)
    target = folder / film.split / film.label / film.stem
    if isinstance(film.encoding, Encoding):
        view = "AP" if anatomy.child else "PA"
        content = encode_dicom(pixels, film.encoding, film.stem, film.patient_id, anatomy, view)
        target.with_suffix(".dcm").write_bytes(content)
    else:
        grey = np.rint(pixels * np.float32(255)).astype(np.uint8)
        options = [cv2.IMWRITE_JPEG_QUALITY, quality] if film.encoding == ".jpg" else []
        target.with_suffix(film.encoding).write_bytes(cv2.imencode(film.encoding, grey, options)[1].tobytes())
    masks = folder / "lung_masks" / film.split
    (masks / f"{film.stem}.png").write_bytes(cv2.imencode(".png", mask)[1].tobytes())
