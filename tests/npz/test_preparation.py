import pytest

from cxr.core.errors import CxrError
from cxr.npz.preparation import Preparation, first_difference, from_json, to_json
from tests.conftest import PREPARATION


def changed(**preprocess: bool | int | float | str) -> Preparation:
    step = PREPARATION.preprocess
    settings = {**step.settings, **preprocess}
    return PREPARATION.model_copy(update={"preprocess": step.model_copy(update={"settings": settings})})


def test_facts_survive_the_way_through_json_with_their_types() -> None:
    facts = changed(stretch=True, margin=0.0, clahe_tiles=8, colour="grey")
    back = from_json(to_json(facts), Preparation, "film")
    assert back == facts
    types = {name: type(value) for name, value in back.preprocess.settings.items()}
    assert types == {
        "image_px": int,
        "region": str,
        "stretch": bool,
        "margin": float,
        "clahe_tiles": int,
        "colour": str,
    }


def test_equal_facts_give_equal_text_whatever_their_order() -> None:
    turned = dict(reversed(PREPARATION.preprocess.settings.items()))
    step = PREPARATION.preprocess.model_copy(update={"settings": turned})
    assert to_json(PREPARATION.model_copy(update={"preprocess": step})) == to_json(PREPARATION)


def test_equal_facts_do_not_differ() -> None:
    assert first_difference(PREPARATION, from_json(to_json(PREPARATION), Preparation, "film")) == ""


def test_the_first_difference_is_named_with_both_values() -> None:
    assert first_difference(changed(region="none", image_px=320), PREPARATION) == (
        "preprocess.settings.image_px: 320 against 224"
    )
    other = PREPARATION.segment.model_copy(update={"lung_model": "b0b"})
    assert first_difference(PREPARATION, PREPARATION.model_copy(update={"segment": other})) == (
        "segment.lung_model: a11ce against b0b"
    )


def test_a_fact_that_one_side_lacks_is_a_difference() -> None:
    assert first_difference(PREPARATION, changed(sharpen=1.0)) == "preprocess.settings.sharpen: absent against 1.0"


@pytest.mark.parametrize(
    ("text", "fault"),
    [("{}", "segment: Field required"), ('{"image_px":64}', "segment: Field required"), ("no", "facts: Invalid JSON")],
)
def test_the_error_for_other_text_names_its_place(text: str, fault: str) -> None:
    with pytest.raises(CxrError, match=r"^data/npz/a\.npz: not a valid preparation \(" + fault) as error:
        from_json(text, Preparation, "data/npz/a.npz")
    assert "\n" not in str(error.value)
