"""Which film a name means: a path, a file name or a stem, with / or \\, from this machine or another."""

import posixpath
from collections.abc import Iterable, Sequence

from cxr.films.find import film_stem
from cxr.ingest.table import nfc


class FilmNames:
    """Films by every ending of their path and by their stem."""

    def __init__(self, films: Iterable[str], root: str = "") -> None:
        """Index films.

        Args:
            films: addresses, or paths relative to `root`.
            root: absolute path of their folder, which absolute names may start with.
        """
        self.root = nfc(root).rstrip("/")
        self.exact: dict[str, str] = {}
        self.endings: dict[str, list[str]] = {}
        self.folded: dict[str, list[str]] = {}
        for film in films:
            name = nfc(film)
            self.exact.setdefault(name, film)
            parts = name.split("/")
            stem = film_stem(parts[-1])
            for ending in {*("/".join(parts[at:]) for at in range(len(parts))), stem}:
                self.endings.setdefault(ending, []).append(film)
            for ending in {parts[-1].casefold(), stem.casefold()}:
                self.folded.setdefault(ending, []).append(film)

    def find(self, given: str) -> Sequence[str]:
        """The films that a name may mean: one, several that share it, or none.

        A path is tried first as it is, then as the end of a path, then without its leading folders, as it would stand
        in a table of another machine; at last the file name is tried with another case. Of several films with a stem,
        those whose folders are given are meant.
        """
        name = self.relative(given)
        for whole in (nfc(given), name):  # a file name may contain a backslash
            if whole in self.exact:
                return [self.exact[whole]]
        parts = [part for part in name.split("/") if part not in ("", ".", "..")]
        for at in range(len(parts)):
            found = self.endings.get("/".join(parts[at:]))
            if found:
                return found if len(found) == 1 else _nearest(found, parts[:at], parts[-1])
        return self.folded.get(parts[-1].casefold(), []) if parts else []

    def relative(self, given: str) -> str:
        """A given name with slashes, in composed form, relative to the root where it starts with it."""
        name = nfc(given).replace("\\", "/")
        if not name:
            return ""
        if not self.root:
            return posixpath.normpath(name)
        whole = posixpath.normpath(posixpath.join(self.root, name))
        return whole[len(self.root) + 1 :] if whole.startswith(f"{self.root}/") else whole


def _nearest(films: Sequence[str], folders: Sequence[str], name: str) -> Sequence[str]:
    """The films that lie in most of the last `folders` of a given name; all of them where none does."""
    for at in range(len(folders)):
        ending = "/".join(["", *folders[at:], film_stem(name)])
        within = [film for film in films if film_stem(f"/{nfc(film)}").endswith(ending)]
        if within:
            return within
    return films
