"""A picture of the steps of one film through the pipeline."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np

from cxr.core.errors import CxrError
from cxr.core.files import atomic_path
from cxr.films.letterbox import Image, Letterbox
from cxr.films.manifest import Record, read_manifest
from cxr.films.read import read_film
from cxr.npz.films import NpzFilm, read_index, read_npz

matplotlib.use("Agg")
ORANGE = (230, 159, 0)


def show(image_id: str | None, out: Path) -> None:
    """Draw a film of the manifest, by default the first of the positive class, as PNG.

    Raises:
        CxrError: there is no such film, or it has no mask or image yet.
    """
    record = _choose(image_id)
    film = read_film(record.path).grey
    mask = cv2.imread(f"data/masks/{record.image_id}.png", cv2.IMREAD_GRAYSCALE)
    rows = [row for row in read_index(Path("data/npz")) if row.image_id == record.image_id]
    if mask is None or not rows:
        raise CxrError(f"{record.image_id}: no mask or image; run `dvc repro preprocess` first")
    stored = read_npz(Path("data/npz") / rows[0].file)
    frame = Letterbox(record.width, record.height, mask.shape[0])
    draw(film, frame.mask_to_film(np.asarray(mask, np.uint8)), stored, out)


def draw(film: Image, mask: Image, stored: NpzFilm, out: Path) -> None:
    """Five panels: the raw film, its mask, the outline and crop box on the film, the stored image, its mask channel."""
    from matplotlib import pyplot as plt

    height, width = film.shape
    overlay = cv2.cvtColor(film, cv2.COLOR_GRAY2RGB)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    thickness = max(2, width // 200)
    cv2.drawContours(overlay, contours, -1, ORANGE, thickness)
    left, top, right, bottom = stored.crop_box
    cv2.rectangle(overlay, (left, top), (right - 1, bottom - 1), (86, 180, 233), thickness)
    side = stored.image.shape[0]
    panels = (
        (f"raw film\n{width} x {height}", film),
        ("lung mask", mask),
        ("outline and crop box", overlay),
        (f"stored image\n{side} x {side}, channels 1-3", stored.image[..., :3]),
        ("stored mask\nchannel 4", stored.image[..., 3]),
    )
    figure, axes = plt.subplots(1, len(panels), figsize=(15, 3.6), layout="constrained")
    for axis, (title, picture) in zip(axes, panels, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axis.set_title(title, fontsize=12)
        axis.set_axis_off()
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=80, format="png", metadata={"Software": None})
    plt.close(figure)


def _choose(image_id: str | None) -> Record:
    records, classes = read_manifest(Path("data/manifest.csv"))
    for record in records:
        if record.image_id == image_id or (image_id is None and record.label == classes[-1]):
            return record
    raise CxrError(f"data/manifest.csv: no film {image_id!r}; give an image_id of this table")
