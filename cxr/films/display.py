"""The display attributes of a DICOM film: lookup tables, rescale, window and padding, as far as they can be used.

Faulty devices write empty, impossible or misspelt values. Such an attribute is skipped with a reason; it never costs
the film.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

from cxr.films.film import MIN_LEVELS, scale
from cxr.films.letterbox import Image

Array = np.ndarray[Any, Any]
Padding = np.ndarray[Any, np.dtype[np.bool_]]
MAX_SATURATED = 0.99  # share of black and white pixels from which nothing of a film is left to see
NO_RANGE = "leaves no usable range"
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_RESCALE = ("RescaleSlope", "RescaleIntercept")


class _Unusable(Exception):
    """Why an attribute cannot be used: a fixed text, never a value of the header."""


def displayed(stored: Array, dataset: Any) -> tuple[Image, Padding | None, tuple[str, ...]]:
    """The grey values of a film, its padding, and the display attributes that were skipped, each with its reason.

    Tried in this order: VOI lookup table, windows, the range of the grey values, each after the modality lookup table
    or the rescale, and then without those. The first that works and leaves a usable range decides. If none leaves one,
    the first that works does.

    Args:
        stored: pixels as stored, (height, width).
        dataset: the DICOM header; attributes that cannot be used are deleted from it.
    """
    skipped: list[str] = []
    padding = _padding(stored, dataset, skipped)
    counted = None if padding is None else ~padding
    first: tuple[Image, tuple[str, ...]] | None = None
    with np.errstate(all="ignore"):
        for values, earlier in _modality(stored, dataset):
            failed = [*skipped, *earlier]
            for name, apply in _views(dataset):
                try:
                    grey = scale(apply(values).astype(np.float32), counted)
                except Exception as error:  # pydicom raises many types on faulty attributes
                    failed.append(f"{name}: {_reason(error)}")
                    continue
                if is_usable(grey, counted):
                    return grey, padding, tuple(failed)
                first = first or (grey, tuple(failed))
                failed.append(f"{name}: {NO_RANGE}")
    assert first is not None  # the stored values can always be scaled
    return first[0], padding, first[1]


def is_usable(grey: Image, counted: Padding | None = None) -> bool:
    """Whether a film has `MIN_LEVELS` grey levels and is not black and white nearly everywhere."""
    mask = None if counted is None else counted.astype(np.uint8)
    levels = cv2.calcHist([grey], [0], mask, [256], [0, 256]).ravel()
    saturated = levels[0] + levels[255]
    return bool(np.count_nonzero(levels) >= MIN_LEVELS and saturated <= MAX_SATURATED * levels.sum())


def _modality(stored: Array, dataset: Any) -> Iterator[tuple[Array, tuple[str, ...]]]:
    """The values that the VOI lookup table and the windows refer to, and what was skipped for them."""
    from pydicom.pixels.processing import apply_modality_lut

    skipped: list[str] = []
    for name, keywords in (("modality LUT", ("ModalityLUTSequence",)), ("rescale", _RESCALE)):
        given = [keyword for keyword in keywords if keyword in dataset]
        if not given or (name == "modality LUT" and dataset.get("ModalityLUTSequence") in (None, [])):
            continue
        try:
            if name == "rescale":
                _numbers(dataset, *_RESCALE)
            values = apply_modality_lut(stored, dataset)
        except Exception as error:  # pydicom raises many types on faulty attributes
            skipped.append(f"{name}: {_reason(error)}")
        else:
            yield values, tuple(skipped)
            skipped.append(f"{name}: {NO_RANGE}")
        for keyword in given:
            del dataset[keyword]
    yield stored, tuple(skipped)


def _views(dataset: Any) -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """The ways to show a film, by name: its VOI lookup tables, its windows, and its values as they are."""
    from pydicom.pixels.processing import apply_voi

    for index in range(_count(dataset, "VOILUTSequence")):
        yield "VOI LUT", lambda values, index=index: apply_voi(values, dataset, index)  # type: ignore[misc]
    for index in range(max(_count(dataset, "WindowCenter"), _count(dataset, "WindowWidth"))):
        yield "window", lambda values, index=index: _window(values, dataset, index)  # type: ignore[misc]
    yield "grey values", lambda values: values


def _count(dataset: Any, keyword: str) -> int:
    """How many values an attribute has: 0 when it is absent or has no items, 1 for an empty number."""
    if keyword not in dataset:
        return 0
    if keyword == "VOILUTSequence":
        return len(dataset.get(keyword) or ())
    return max(1, int(dataset[keyword].VM))


def _window(values: Array, dataset: Any, index: int) -> Array:
    from pydicom.pixels.processing import apply_windowing

    _, width = _numbers(dataset, "WindowCenter", "WindowWidth", index=index)
    function = str(dataset.get("VOILUTFunction", "LINEAR")).upper()
    if function not in _FUNCTIONS:
        raise _Unusable("unknown VOILUTFunction")
    if width <= 0 or (width < 1 and function == "LINEAR"):
        raise _Unusable("width is zero or too small")
    return np.asarray(apply_windowing(values, dataset, index))


def _numbers(dataset: Any, *keywords: str, index: int = 0) -> list[float]:
    """One value of each attribute; raises `_Unusable` where one is absent, empty or no number."""
    numbers = []
    for keyword in keywords:
        value = dataset.get(keyword)
        if not isinstance(value, (str, int, float, type(None))):  # several values
            value = value[index]
        if value is None or value == "":
            raise _Unusable(f"{keyword} is {'empty' if keyword in dataset else 'missing'}")
        try:
            number = float(value)
        except ValueError as error:
            raise _Unusable(f"{keyword} is not a number") from error
        if not math.isfinite(number):
            raise _Unusable(f"{keyword} is not a number")
        numbers.append(number)
    return numbers


def _padding(stored: Array, dataset: Any, skipped: list[str]) -> Padding | None:
    """Where a film was padded to a rectangle (DICOM PS3.3 C.7.5.1.1.2); None without a usable padding value."""
    try:
        first = dataset.get("PixelPaddingValue")
        if first is None:
            return None
        last = dataset.get("PixelPaddingRangeLimit")
        low, high = sorted((int(first), int(first if last is None else last)))
    except Exception as error:  # pydicom raises many types on faulty attributes
        skipped.append(f"padding: {_reason(error)}")
        return None
    padding = np.asarray((stored >= low) & (stored <= high))
    if padding.all() and not (stored == stored.flat[0]).all():
        skipped.append(f"padding: {NO_RANGE}")
        return None
    return padding


def _reason(error: Exception) -> str:
    """A text without header values, which may identify a person."""
    return str(error) if isinstance(error, _Unusable) else "incomplete or damaged"
