"""The lungs of one film, from its bytes: the same steps for the segment stage, the segmenter's own pipeline and a
predictor."""

from cxr.films.letterbox import Image, Letterbox
from cxr.films.read import Source, decode, decode_reduced
from cxr.segment.clean import clean
from cxr.segment.config import SegmentSection
from cxr.segment.judge import Lungs, judge
from cxr.segment.quality import expected_dice, measure
from cxr.segment.segmenter import Segmenter


def find_lungs(source: Source, size: tuple[int, int], segmenter: Segmenter, settings: SegmentSection) -> Lungs:
    """Find the lungs of a film.

    Args:
        source: the film's bytes. They are decoded here, no larger than the segmenter needs.
        size: width and height of the whole film in pixels, as `Film.size` or the manifest has them.
        segmenter: gives the probability of lung.
        settings: the `segment` section.

    Raises:
        CxrError: the film cannot be decoded.
    """
    frame = Letterbox(*size, segmenter.frame_px)
    return lungs_in_frame(film_in_frame(source, size, frame, settings.seg_on_gray), frame, segmenter, settings)


def film_in_frame(source: Source, size: tuple[int, int], frame: Letterbox, grey: bool) -> Image:
    """The film in the letterbox as the segmenter sees it: (frame, frame) grey, or (frame, frame, 3) RGB.

    `frame` has the film's true proportions, which are not those of `size` where a file was squashed. Without `grey`
    the film keeps its own colours, if it has any.
    """
    if grey:
        return frame.to_frame(decode_reduced(source, size, frame.frame))
    film = decode(source)
    return frame.to_frame(film.grey if film.colour is None else film.colour)


def lungs_in_frame(picture: Image, frame: Letterbox, segmenter: Segmenter, settings: SegmentSection) -> Lungs:
    """Find the lungs of a film that is in the letterbox already."""
    probability = segmenter.probability(picture)
    found = clean(probability, frame, settings.threshold)
    quality = expected_dice(*measure(picture, probability, found, frame, segmenter, settings.threshold))
    return judge(probability, found, frame, quality, settings)
