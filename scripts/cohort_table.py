"""Write the table of published cohorts in docs/data.md from cohorts.yaml: `python -m scripts.cohort_table`."""

import re

from cxr.commands.cohorts import KNOWN
from cxr.core.config import read_yaml
from cxr.core.files import write_text

PAGE = KNOWN.parent / "docs/data.md"
HEADER = "| cohort | layout | licence |\n|---|---|---|\n"


def with_table(page: str) -> str:
    """The page with the table of today's cohorts.yaml; a page without such a table stays as it is."""
    rows = []
    for entry in read_yaml(KNOWN).values():
        if "settings" in entry:
            layout = entry["settings"]["layout"]
            rows.append(f"| [{entry['name']}]({entry['link']}) | `{layout}` | {entry['licence']} |\n")
    return re.sub(rf"{re.escape(HEADER)}(\|.*\n)*", lambda _: HEADER + "".join(rows), page)


def main() -> None:
    """Rewrite the page."""
    write_text(PAGE, with_table(PAGE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
