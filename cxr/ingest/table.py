"""Label tables as people have them: encoding and delimiter are detected, ragged rows and wrong quotes are named."""

import csv
import gzip
import io
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.core.errors import CxrError, did_you_mean

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
TABLES = re.compile(r"\.(csv|tsv|txt)(\.gz)?$", re.IGNORECASE)  # names of files
LONGEST = 10_000_000  # characters of a cell
SHOWN = 3  # lines named in an error


@dataclass(frozen=True)
class Table:
    """A label table: every cell is text without surrounding blanks, in composed Unicode form (NFC)."""

    path: Path
    columns: list[str]
    rows: list[dict[str, str]]
    lines: list[int]  # the line of the file on which each row starts
    notes: list[tuple[str, str]]  # what was detected, where it is not UTF-8 with commas, and what to do

    def column(self, name: str) -> str | None:
        """The column of this name, or the only one that differs from it in case; None without one."""
        wanted = nfc(name)
        if wanted in self.columns:
            return wanted
        alike = [column for column in self.columns if column.casefold() == wanted.casefold()]
        return alike[0] if len(alike) == 1 else None

    def no_column(self, name: str) -> str:
        """The error text for a column that is missing."""
        return f"no column {name!r}; it has {', '.join(map(repr, self.columns))}{did_you_mean(name, self.columns)}"


def nfc(text: str) -> str:
    """A text without surrounding blanks, in composed form: a Mac stores names decomposed."""
    return unicodedata.normalize("NFC", text).strip()


def read_table(path: Path) -> Table:
    """Read a label table, plain or compressed by gzip; blank rows and columns without a name or a value are left out.

    A row may have fewer cells than the header; the rest is blank. Blank cells beyond the header are ignored.

    Raises:
        CxrError: the file is missing, not text, has wrong quotes, or has rows with more values than columns.
    """
    text, encoding = _decoded(path)
    delimiter = _delimiter(text)
    body = list(_parsed(path, text, delimiter))
    if body and len(body[0][1]) <= 2 and body[0][1][0].lower() == "sep=":  # Excel's own line
        body = body[1:]
    if not body:
        raise CxrError(f"{path}: an empty table; give one with a header and one row per film")
    header = _distinct([nfc(name) for name in body[0][1]])
    rows, lines, ragged = [], [], []
    for line, cells in body[1:]:
        values = [nfc(cell) for cell in cells]
        if any(values[len(header) :]):
            ragged.append(line)
        elif any(values):
            rows.append(dict(zip(header, values + [""] * (len(header) - len(values)), strict=False)))
            lines.append(line)
    if ragged:
        shown = ", ".join(map(str, ragged[:SHOWN]))
        more = f" and {len(ragged) - SHOWN} more" if len(ragged) > SHOWN else ""
        quotes = f"put a value that contains {delimiter!r} in double quotes"
        remedy = quotes if rows else f"line {body[0][0]} is read as the header; remove the lines above it"
        raise CxrError(
            f"{path}:{ragged[0]}: more values than the {len(header)} columns, in line {shown}{more} (delimiter: "
            f"{DELIMITERS[delimiter]}); {remedy}"
        )
    nameless = [name for name in header if not name]
    for row in rows:
        for name in nameless:
            row.pop(name)
    found = [] if encoding == "utf-8" else [encoding]
    found += [] if delimiter == "," else [DELIMITERS[delimiter]]
    hint = "save it as UTF-8 with commas if that is wrong"
    notes = [(f"{path}: read as {' with '.join(found)}", hint)] if found else []
    return Table(path, [name for name in header if name], rows, lines, notes)


def join_columns(table: Table, other: Table, on: Sequence[str]) -> Table:
    """The rows of `table` with the columns of `other` where the key is equal, as a left join; its own columns win.

    Args:
        table: the rows that stay.
        other: the columns that are added; blank where it has no such row. Several such rows give several rows.
        on: columns of the key, in both tables.

    Raises:
        CxrError: a table lacks a column of the key, or no key is equal.
    """
    keys = []
    for one in (table, other):
        absent = [name for name in on if one.column(name) is None]
        if absent:
            raise CxrError(f"{one.path}: {one.no_column(absent[0])}; correct data.tables: on")
        keys.append([str(one.column(name)) for name in on])
    matches: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in other.rows:
        matches.setdefault(tuple(row[name] for name in keys[1]), []).append(row)
    blank = [dict.fromkeys(other.columns, "")]
    rows, lines, alone = [], [], 0
    for line, row in zip(table.lines, table.rows, strict=True):
        found = matches.get(tuple(row[name] for name in keys[0]), [])
        alone += not found
        for match in found or blank:
            rows.append({**match, **row})
            lines.append(line)
    if alone == len(table.rows):
        raise CxrError(f"{other.path}: no row has the {' and '.join(on)} of a row of {table.path}; correct data.tables")
    notes = [*table.notes, *other.notes]
    if alone:
        remedy = "data.label_rules see blank values there; complete the table, or exclude them by a rule"
        notes.append((f"{other.path}: no row for {alone} of {len(table.rows)} rows of {table.path}", remedy))
    columns = [*table.columns, *(name for name in other.columns if name not in table.columns)]
    return Table(table.path, columns, rows, lines, notes)


def _distinct(names: list[str]) -> list[str]:
    """Column names with a number after each repeated one, as pandas has it."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        distinct.append(f"{name}.{seen[name]}" if name and seen[name] else name)
        seen[name] += 1
    return distinct


def _decoded(path: Path) -> tuple[str, str]:
    """The text of a file and the name of its encoding."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CxrError(f"{path}: cannot be read ({reason}); give a label table as CSV") from error
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise CxrError(f"{path}: a workbook or archive, not a CSV; save the sheet as CSV UTF-8")
    for encoding in _encodings(content):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding.removesuffix("-sig")
    raise CxrError(f"{path}: not text in UTF-8, UTF-16, cp949 or cp1252; save the table as CSV UTF-8")


def _encodings(content: bytes) -> list[str]:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ["utf-16"]
    if content[1:2] == b"\0":
        return ["utf-16-le"]
    if content[:1] == b"\0":
        return ["utf-16-be"]
    # Two high bytes in a row are a Korean syllable of KS X 1001; accents in Western text stand alone.
    high = len(re.findall(rb"[\x80-\xff]", content))
    pairs = len(re.findall(rb"[\xb0-\xc8][\xa1-\xfe]", content))
    return ["utf-8-sig", *(["cp949", "cp1252"] if 4 * pairs > high else ["cp1252", "cp949"])]


def _delimiter(text: str) -> str:
    """The delimiter that is most frequent in the header outside quotes; a comma where there is none."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    counts = Counter(re.sub(r'"[^"]*"', "", header))
    return max(DELIMITERS, key=lambda delimiter: counts[delimiter])


def _parsed(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row that is not empty."""
    csv.field_size_limit(LONGEST)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise CxrError(f"{path}:{line}: {error}; correct the quotes of this row") from error
