"""Lung masks of some drawn films; prints the MD5 of the network's outputs and of the masks. Part of benchmarks.repeat.

python -m benchmarks.repeat_lungs models/lung_segmenter.onnx 4   # films
"""

import hashlib
import sys
from pathlib import Path

import numpy as np

from cxr.core.config import load_section
from cxr.films.letterbox import Image, Letterbox
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import lungs_in_frame
from cxr.segment.segmenter import load_segmenter, to_input


def main(model: Path, films: int) -> None:
    """Segment, and print."""
    segmenter, settings = load_segmenter(model), load_section("segment", SegmentSection)
    frame = Letterbox(segmenter.frame_px, segmenter.frame_px, segmenter.frame_px)
    outputs, masks = hashlib.md5(), hashlib.md5()
    for seed in range(films):
        film = drawn_film(seed, segmenter.frame_px)
        outputs.update(segmenter.session.run(None, {"rgb": to_input(film, segmenter.inner_px)[None]})[0].tobytes())
        lungs = lungs_in_frame(film, frame, segmenter, settings)
        masks.update(lungs.mask.tobytes() + repr(lungs.quality).encode())
    print(outputs.hexdigest(), masks.hexdigest())


def drawn_film(seed: int, side: int) -> Image:
    """Two dark ellipses in a bright field with noise, (side, side), by integer arithmetic alone."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    film = rng.integers(160, 220, (side, side))
    for centre in (side * 5 // 16, side * 11 // 16):
        half_width, half_height = (int(rng.integers(side // div, side * 3 // (2 * div))) for div in (10, 5))
        across, down = (x - centre) * half_height, (y - side // 2) * half_width
        film[across**2 + down**2 < (half_width * half_height) ** 2] -= 110
    return film.astype(np.uint8)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
