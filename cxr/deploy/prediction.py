"""What the predictor says of one film."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cxr.films.letterbox import Box, Image, Letterbox

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Flag:
    """One reason not to believe an answer."""

    code: str  # no_lungs, inverted, turned_left, turned_right, upside_down, unsure, unfamiliar, small
    text: str  # the same for a person, with its figures


@dataclass(frozen=True)
class Prediction:
    """The answer about one film. Pictures of the film lie in the square letterbox frame of the lung segmenter."""

    name: str
    film_hash: str
    frame: Letterbox  # the film's place in the frame
    picture: Image  # the film as the lung segmenter saw it: grey (frame, frame), or with colours (frame, frame, 3)
    mask: Image  # its lungs, 0 or 255, (frame, frame); the whole film where no lungs were found
    image: Image  # what the classifier saw: uint8 (image_px, image_px, 4)
    crop_box: Box  # the part of the film that `image` shows, in the film's pixels
    stored: Letterbox  # the place of that part in `image`
    lung_area: float  # share of the film, as found
    lung_quality: float  # Dice to expect of the lungs as found; 0 where they are implausible
    logits: tuple[float, ...]  # one for two classes, else one a class
    probabilities: dict[str, float]  # calibrated, by class
    probability: float  # of the second of two classes, else of the class that is called
    decision: str  # class name
    threshold: float | None  # on `probability`; None where the likeliest class is called
    distance: float  # from the training films, over the largest familiar one: above 1 is unfamiliar
    meaning: str  # the probability in films of the validation set; empty for three or more classes
    flags: tuple[Flag, ...]
    activation: Array | None  # class activation of `decision`'s finding over `image`, (h, w); None for some networks

    @property
    def believable(self) -> bool:
        """Whether nothing speaks against the answer."""
        return not self.flags

    @property
    def film_size(self) -> tuple[int, int]:
        """Width and height of the film, pixels."""
        return self.frame.width, self.frame.height
