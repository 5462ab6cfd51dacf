"""How often a bundle flags or rejects films that it should, and films that it should not: one table.

Each folder of films is read as it is, as its negative, and turned; noise and the photographs that scikit-learn carries
are read beside them. `--others` names folders of pictures that are no frontal chest film. `--metadata` declares age and
view of films as they are.

    python -m benchmarks.refusal --bundle models/chest_xray --films path/to/films --count 200
"""

import argparse
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_sample_images

from cxr.bundle.config import FLAGS
from cxr.bundle.population import NOTHING, Declared
from cxr.core.errors import CxrError
from cxr.films.letterbox import Image
from cxr.films.read import decode
from cxr.predict.inputs import NamedFilm, find_films, with_metadata
from cxr.predict.predictor import Predictor
from cxr.report.tables import markdown

Given = tuple[bytes, Declared]  # a film, and what is known of its patient and view
CODES = tuple(flag.code for flag in FLAGS)
VIEWS: dict[str, Callable[[Image], Image]] = {
    "as they are": lambda film: film,
    "inverted": lambda film: np.asarray(255 - film, np.uint8),
    "turned by 90° clockwise": lambda film: np.rot90(film, 3),
    "turned by 90° anticlockwise": lambda film: np.rot90(film),
    "upside down": lambda film: np.rot90(film, 2),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refusal", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--films", type=Path, nargs="+", required=True, help="folders of frontal chest films")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="folders of other pictures")
    parser.add_argument("--metadata", type=Path, help="table with columns path, and age or view")
    parser.add_argument("--count", type=int, default=100, help="films drawn from each folder")
    options = parser.parse_args()
    predictor = Predictor.load(options.bundle)
    rows = []
    for folder in options.films:
        films = sample(folder, options.count)
        greys = [decode(film.read()).grey for film in films]
        name = f"{folder.parent.name}/{folder.name}"
        rows += [row(predictor, f"{name}, {view}", map(png, map(turn, greys))) for view, turn in VIEWS.items()]
        if options.metadata is not None:
            known = [film for film in with_metadata(films, options.metadata) if film.declared != NOTHING]
            declared = ((film.read().content, film.declared) for film in known)
            rows += [row(predictor, f"{name}, age and view declared", declared)] if known else []
    rows += [
        row(predictor, name, map(png, pictures))
        for name, pictures in (("noise", noise()), ("photographs", photographs()))
    ]
    for folder in options.others:
        others = ((film.read().content, NOTHING) for film in sample(folder, options.count))
        rows.append(row(predictor, folder.name, others))
    print(markdown(["films", "number", "flagged", *(code.replace("_", " ") for code in CODES), "rejected"], rows))


def sample(folder: Path, count: int) -> list[NamedFilm]:
    """Some films of a folder, the same ones in every run."""
    films = sorted(find_films([str(folder)]), key=lambda film: zlib.crc32(Path(film.address).name.encode()))
    return films[:count]


def row(predictor: Predictor, name: str, films: Iterable[Given]) -> list[str]:
    """Name, number, and the share of the films that drew each flag."""
    flags: Counter[str] = Counter()
    number = 0
    for film, declared in films:
        number += 1
        try:
            found = [flag.code for flag in predictor(film, f"{name} {number}", declared).flags]
        except CxrError:
            found = ["rejected"]
        flags.update(found)
        flags["flagged"] += bool(found)
    share = {code: f"{flags[code] / number:.1%}" if flags[code] else "–" for code in ("flagged", *CODES, "rejected")}
    return [name, str(number), *share.values()]


def png(picture: Image) -> Given:
    """A grey picture as a PNG file of which nothing is declared."""
    return cv2.imencode(".png", np.ascontiguousarray(picture))[1].tobytes(), NOTHING


def noise(count: int = 50, side: int = 512) -> Iterator[Image]:
    """White noise and clouds of several grains."""
    rng = np.random.default_rng(0)
    for index in range(count):
        grain = (1, 4, 16, 64)[index % 4]
        coarse = rng.integers(0, 256, (side // grain, side // grain), dtype=np.uint8)
        yield np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def photographs(count: int = 50, side: int = 256) -> Iterator[Image]:
    """Grey pieces of two photographs: a temple and a flower."""
    rng = np.random.default_rng(0)
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in load_sample_images().images]
    for index in range(count):
        grey = greys[index % len(greys)]
        top, left = (int(rng.integers(0, length - side)) for length in grey.shape)
        yield np.asarray(grey[top : top + side, left : left + side], np.uint8)


if __name__ == "__main__":
    main()
