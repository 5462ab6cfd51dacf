"""Reduced films of a cohort: ingest keeps them in the per-film cache, so that later stages need not decode again."""

import functools
from pathlib import Path

import numpy as np

from cxr.core.code import code_version
from cxr.core.files import digest
from cxr.films.cache import FilmCache, cache_root, spec_key
from cxr.films.film import REDUCED_PX, Film, reduced
from cxr.films.read import Source, decode, decoder_versions


def read_reduced(source: Source) -> Film:
    """The reduced film of a source, grey only: from the cache, or decoded and kept there.

    Raises:
        CxrError: the film cannot be decoded.
    """
    entry = _cache(cache_root()).get(_key(source))
    if entry is None:
        film = reduced(decode(source))
        keep_reduced(source, film)
        return Film(film.grey, None, film.bits, 0.0, {}, whole=film.size)
    facts, pixels = entry
    grey = np.frombuffer(pixels, np.uint8).reshape(facts["shape"])
    return Film(grey, None, facts["bits"], 0.0, {}, whole=tuple(facts["whole"]))


def keep_reduced(source: Source, film: Film) -> None:
    """Keep the grey pixels of a reduced film in the cache; a film that was small already is quickly decoded again."""
    if max(film.size) > REDUCED_PX:
        facts = {"shape": film.grey.shape, "bits": film.bits, "whole": film.size}
        _cache(cache_root()).put(_key(source), (facts, film.grey.tobytes()))


@functools.cache
def _cache(root: Path) -> FilmCache:
    versions = [f"{name} {version}" for name, version in decoder_versions().items()]
    return FilmCache(root, "reduced", spec_key([code_version("cxr.films.read"), *versions]))


def _key(source: Source) -> str:
    return digest(source.film_hash.encode(), Path(source.address).suffix.encode())  # a suffix may decide how to decode
