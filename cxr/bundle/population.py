"""For whom a bundle is meant, and whether what is declared about a film contradicts it."""

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import field_validator

from cxr.core.config import Section
from cxr.core.errors import CxrError
from cxr.films.header import VIEWS

UNITS = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}  # of a DICOM age, in a year
UNTOLD = ("", "PORTABLE")  # views that say nothing about the direction
UNKNOWN = "unknown"


class Population(Section):
    """Patients and films that the bundle is meant for; films of other modalities or body parts are rejected anyway."""

    age: tuple[float, float] | Literal["none"]  # years, both included
    views: tuple[str, ...]  # DICOM's ViewPosition; empty if not stated
    description: dict[str, str]  # in words

    @field_validator("age")
    @classmethod
    def _ordered(cls, age: tuple[float, float] | Literal["none"]) -> tuple[float, float] | Literal["none"]:
        if age != "none" and not 0 <= age[0] <= age[1]:
            raise ValueError("expected [youngest, oldest] in years, or none")
        return age

    @field_validator("views")
    @classmethod
    def _known(cls, views: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [view for view in views if view not in VIEWS]
        if unknown:
            raise ValueError(f"unknown view {unknown[0]!r}; the views are {', '.join(VIEWS)}")
        return views


NOT_STATED = Population(age="none", views=(), description={})


@dataclass(frozen=True)
class Declared:
    """What a header, a table or a person says about a film. Empty: unknown."""

    age: str = ""  # years such as 4, or DICOM's 004Y, 018M
    view: str = ""  # DICOM's ViewPosition

    @property
    def shown(self) -> dict[str, str]:
        """Age in years and view, or `unknown`."""
        years = age_in_years(self.age)
        return {"age": UNKNOWN if years is None else f"{years:.3g}", "view": self.view.upper() or UNKNOWN}


NOTHING = Declared()


def age_in_years(text: str) -> float | None:
    """Years from a number or from a DICOM age; None if it is empty.

    Raises:
        CxrError: the text is neither.
    """
    text = text.strip().upper()
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)([DWMY]?)", text)
    if found is None:
        raise CxrError("the age is neither years, such as 4 or 0.5, nor a DICOM age, such as 018M; correct it")
    return float(found[1]) / UNITS[found[2] or "Y"]


def checked(age: object, view: object) -> Declared:
    """What a table, a request or a person declares.

    Raises:
        CxrError: an age that is none, or an unknown view. The value is not repeated.
    """
    declared = Declared(_text(age), _text(view).upper())
    age_in_years(declared.age)
    if declared.view and declared.view not in VIEWS:
        raise CxrError(f"the view is none of {', '.join(VIEWS)}; correct it")
    return declared


def contradictions(population: Population, sources: tuple[Declared, ...]) -> list[str]:
    """What the sources say against the population, in words, each once."""
    found = []
    for declared in sources:
        years, view = age_in_years(declared.age), declared.view.upper()
        if population.age != "none" and years is not None:
            youngest, oldest = population.age
            if not youngest <= years < oldest + 1:  # a child of five stays five until the sixth birthday
                found.append(f"age {years:.3g} years, meant for {youngest:g} to {oldest:g}")
        if population.views and view not in (*UNTOLD, *population.views):
            found.append(f"view {view}, meant for {' or '.join(population.views)}")
    return list(dict.fromkeys(found))


def _text(value: object) -> str:
    text = "" if value is None else str(value).strip()
    return "" if text.lower() in (UNKNOWN, "nan") else text
