"""For whom a bundle is meant: ages and views, and what contradicts them."""

import pytest
from pydantic import ValidationError

from cxr.bundle.population import NOT_STATED, Declared, Population, age_in_years, checked, contradictions
from cxr.core.errors import CxrError

CHILDREN = Population(age=(1, 5), views=("AP",), description={})


@pytest.mark.parametrize(
    ("text", "years"),
    [("4", 4), ("0.5", 0.5), ("062Y", 62), ("018M", 1.5), ("026W", 0.498), ("010D", 0.027), ("", None)],
)
def test_ages_are_years_or_dicom_ages(text: str, years: float | None) -> None:
    assert age_in_years(text) == pytest.approx(years, abs=0.001)


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (Declared("40", ""), ["age 40 years, meant for 1 to 5"]),
        (Declared("006M", "AP"), ["age 0.5 years, meant for 1 to 5"]),
        (Declared("5.9", "ap"), []),
        (Declared("6", ""), ["age 6 years, meant for 1 to 5"]),
        (Declared("3", "PA"), ["view PA, meant for AP"]),
        (Declared("", "PORTABLE"), []),
        (Declared(), []),
    ],
)
def test_what_is_declared_against_the_population_is_told_and_what_is_unknown_is_not(
    declared: Declared, found: list[str]
) -> None:
    assert contradictions(CHILDREN, (declared,)) == found
    assert contradictions(NOT_STATED, (declared,)) == []


def test_a_header_cannot_hide_what_a_table_says() -> None:
    assert contradictions(CHILDREN, (Declared("40"), Declared("003Y"))) == ["age 40 years, meant for 1 to 5"]


def test_unknown_is_shown_as_unknown() -> None:
    assert Declared("018M", "pa").shown == {"age": "1.5", "view": "PA"}
    assert Declared().shown == {"age": "unknown", "view": "unknown"}


@pytest.mark.parametrize(("age", "view"), [("old", ""), ("-3", ""), ("4", "front")])
def test_a_value_that_is_none_is_an_error_that_does_not_repeat_it(age: str, view: str) -> None:
    with pytest.raises(CxrError) as caught:
        checked(age, view)
    assert "old" not in str(caught.value)
    assert "front" not in str(caught.value)
    assert checked(4.0, None).shown == {"age": "4", "view": "unknown"}


@pytest.mark.parametrize(("age", "views"), [((5, 1), ()), ((-1, 3), ()), ("all", ()), ("none", ("FRONT",))])
def test_a_population_is_checked(age: object, views: object) -> None:
    with pytest.raises(ValidationError):
        Population(age=age, views=views, description={})  # type: ignore[arg-type]
