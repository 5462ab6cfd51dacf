"""The table of published cohorts in docs/data.md is that of cohorts.yaml."""

from cxr.commands.cohorts import KNOWN
from cxr.core.config import read_yaml
from scripts.cohort_table import PAGE, with_table


def test_the_table_of_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page
    assert page.count("](https://") >= len(read_yaml(KNOWN)) - 1  # all but ChestMNIST, which is rejected


def test_a_row_that_is_not_in_cohorts_yaml_is_removed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page.replace("| [CheXpert]", "| [Another]")) == page
