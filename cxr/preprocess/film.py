"""The result of the preprocess stage for one film: its NPZ."""

import cv2
import numpy as np

from cxr.core.errors import CxrError
from cxr.films.film import Film, reduced
from cxr.films.manifest import Record
from cxr.films.read import Source, decode
from cxr.films.reduced import read_reduced
from cxr.npz.films import NpzFilm, encode_npz
from cxr.preprocess.config import PixelSection
from cxr.preprocess.perturb import Perturbation, perturbed
from cxr.preprocess.prepare import prepare_film


def npz_of_film(
    source: Source,
    mask: Source,
    record: Record,
    classes: tuple[str, ...],
    settings: PixelSection,
    spec: str,
    copy: Perturbation | None = None,
) -> bytes:
    """The bytes of the NPZ of a film, or of a perturbed copy of it.

    Args:
        source: the film's bytes.
        mask: its lung mask as PNG, in the letterbox frame.
        record: its label and ids.
        classes: names, in the order of their index.
        settings: those that decide the pixels.
        spec: the preparation, as stored in the NPZ.
        copy: the perturbation applied before the film is prepared; None for the film itself.

    Raises:
        CxrError: the film or its mask cannot be decoded.
    """
    film = film_for(source, settings)
    pixels = cv2.imdecode(np.frombuffer(mask.content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise CxrError(f"{mask.address}: not a readable mask; run `dvc repro --force segment`")
    lungs = np.asarray(pixels, np.uint8)
    if copy is not None:
        film, lungs = perturbed(film, lungs, copy, source.film_hash, settings.enough_px)
    image, box = prepare_film(film, lungs, settings, source.film_hash)
    npz = NpzFilm(
        image=image,
        label=classes.index(record.label),
        image_id=record.image_id if copy is None else copy.image_id(record.image_id),
        patient_id=record.patient_id,
        classes=classes,
        film_hash=source.film_hash,
        crop_box=box,
        film_size=film.size,
        spec=spec,
    )
    return encode_npz(npz)


def film_for(source: Source, settings: PixelSection) -> Film:
    """The film with the pixels that the settings need; raises CxrError when it cannot be decoded."""
    if settings.resizing == "whole":
        return decode(source)
    return read_reduced(source) if settings.colour == "grey" else reduced(decode(source))
