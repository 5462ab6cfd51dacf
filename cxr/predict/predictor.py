"""From a film's bytes to a prediction, with the functions of the stages and without torch."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr.bundle.config import FLAGS, InferenceConfig, read_config
from cxr.bundle.files import CARD, CLASSIFIER, CONFIG, REFERENCE, SEGMENTER, verify_sums
from cxr.bundle.network import Network, Scores, load_network
from cxr.bundle.population import NOTHING, Declared, contradictions
from cxr.bundle.reference import Reference, read_reference
from cxr.core.errors import CxrError
from cxr.films.film import Film, reduced, rejection_reason
from cxr.films.letterbox import Box, Image, Letterbox
from cxr.films.read import Source, decode, decode_scaled, read_source
from cxr.predict.hub import bundle_folder
from cxr.predict.orientation import lung_confidence, orientation_flag
from cxr.predict.own import reject_own_object
from cxr.predict.prediction import Array, Flag, Prediction
from cxr.preprocess.prepare import prepare_film, stored_frame
from cxr.segment.lungs import Lungs, film_in_frame, lungs_in_frame
from cxr.segment.segmenter import LungSegmenter, load_segmenter, model_hash

log = logging.getLogger(__name__)
MIN_PX = 64  # minimum shorter side of a film


@dataclass(frozen=True)
class PreparedFilm:
    """A decoded film with its mask and stored image, before classification."""

    source: Source
    film: Film  # whole or reduced, as the bundle's preparation says
    picture: Image  # in the segmenter's frame
    lungs: Lungs
    image: Image  # input of the classifier
    crop_box: Box
    flags: tuple[Flag, ...]
    declared: Declared


class Predictor:
    """A loaded bundle. Several threads may prepare films at the same time."""

    def __init__(
        self,
        config: InferenceConfig,
        segmenter: LungSegmenter,
        network: Network,
        reference: Reference,
        version: str,
        card: str,
    ) -> None:
        self.config = config
        self.segmenter = segmenter
        self.network = network
        self.reference = reference
        self.version = version  # hash of the bundle's checksums
        self.card = card  # the bundle's model card, Markdown
        self.segment_settings, self.pixel_settings = config.segment, config.pixels
        self.raised = {flag.code for flag in config.flags}  # only the flags that the bundle lists are raised
        unknown = sorted(self.raised - {flag.code for flag in FLAGS})
        if unknown:
            log.warning("the bundle lists flags unknown to this version: %s", ", ".join(unknown))

    @classmethod
    def load(cls, bundle: Path | str, threads: int = 1) -> "Predictor":
        """Open a bundle after verifying every file of it.

        Args:
            bundle: the folder that the package stage wrote, or hf://owner/name@revision on the Hugging Face Hub.
            threads: of the classifier; the lung segmenter uses one, so that its masks equal those of the stages.

        Raises:
            CxrError: a file is missing, altered or of another version, the bundle was replaced while loading, or the
                hub has no such bundle or cannot be reached.
        """
        folder = bundle_folder(bundle)
        version = verify_sums(folder)
        config = read_config(folder / CONFIG)
        segmenter = folder / SEGMENTER
        if config.preparation.segment.lung_model != model_hash(segmenter):
            raise CxrError(f"{segmenter}: not the segmenter that made the training films' masks; make the bundle again")
        network, lungs = load_network(folder / CLASSIFIER, threads), load_segmenter(segmenter)
        reference, card = read_reference(folder / REFERENCE), (folder / CARD).read_text(encoding="utf-8")
        if verify_sums(folder) != version:  # never mix the files of two bundles
            raise CxrError(f"{folder}: replaced while it was read; load it again")
        return cls(config, lungs, network, reference, version, card)

    def __call__(self, film: bytes | str | Path, name: str = "", declared: Declared = NOTHING) -> Prediction:
        """Predict one film, given as bytes or as a path, with what is known of its patient and view.

        Raises:
            CxrError: the film cannot be read, or is not a usable chest film. The message begins with its name.
        """
        source = Source(name or "film", film) if isinstance(film, bytes) else read_source(str(film))
        return self.answer([self.prepare(source, declared)])[0]

    def prepare(self, source: Source, declared: Declared = NOTHING) -> PreparedFilm:
        """Decode a film, find its lungs and make the stored image; raises CxrError as above."""
        reject_own_object(source)
        film = decode(source)
        reason = rejection_reason(film, MIN_PX)
        if reason:
            raise CxrError(f"{source.address}: {reason}")
        steps = self.config.preparation
        small = reduced(film) if "reduced" in (steps.segment.resizing, steps.preprocess.resizing) else film
        seen = small if steps.segment.resizing == "reduced" else film
        frame = Letterbox(*film.size, self.segmenter.frame_px)
        picture = self._picture(source, seen, frame)
        lungs = lungs_in_frame(picture, frame, self.segmenter, self.segment_settings)
        confidence = lung_confidence(lungs.probability, lungs.found)
        turned = orientation_flag(picture, frame, confidence, self.segmenter, self.segment_settings)
        pixels = small if steps.preprocess.resizing == "reduced" else film
        image, box = prepare_film(pixels, lungs.mask, self.pixel_settings, source.film_hash)
        header = Declared(film.header.get("age", ""), film.header.get("view", ""))
        against = contradictions(self.config.population, (declared, header))
        outside = [Flag("outside_population", f"outside the population of the bundle: {', '.join(against)}")]
        own = _flags(film, lungs, image, self.segmenter.quality.flagged)
        flags = (*(outside if against else []), *own, *([turned] if turned else []))
        known = Declared(declared.age or header.age, declared.view or header.view)
        return PreparedFilm(source, seen, picture, lungs, image, box, flags, known)

    def _picture(self, source: Source, film: Film, frame: Letterbox) -> Image:
        """The film in the segmenter's frame."""
        grey = self.segment_settings.seg_on_gray
        if grey and self.config.preparation.segment.resizing == "whole":  # JPEG films were decoded at a smaller scale
            return frame.to_frame(decode_scaled(source, film.size, frame.frame))
        return film_in_frame(film, frame, grey)

    def answer(self, films: Sequence[PreparedFilm]) -> list[Prediction]:
        """Score prepared films in one batch."""
        scores = self.network.score(np.stack([film.image for film in films]))
        point = self.config.operating_point
        probabilities = point.probability(scores.logits.astype(np.float64))
        decisions = point.decide(probabilities)
        distances = self.reference.feature_space.distance(scores.features) / self.config.ood.threshold
        return [
            self._prediction(film, scores, at, probabilities[at], int(decisions[at]), float(distances[at]))
            for at, film in enumerate(films)
        ]

    def _prediction(
        self, film: PreparedFilm, scores: Scores, at: int, probability: Array, decision: int, distance: float
    ) -> Prediction:
        classes = self.config.classes
        two = len(classes) == 2
        values = [1 - float(probability), float(probability)] if two else [float(value) for value in probability]
        shown = 1 if two else decision
        flags = film.flags
        if distance > 1:
            flags = (*flags, Flag("out_of_distribution", f"out of distribution: {distance:.2f} × threshold"))
        return Prediction(
            name=film.source.address,
            film_hash=film.source.film_hash,
            frame=film.lungs.frame,
            picture=film.picture,
            mask=film.lungs.mask,
            image=film.image,
            crop_box=film.crop_box,
            stored=stored_frame(film.crop_box, self.pixel_settings),
            lung_area=film.lungs.area,
            expected_dice=film.lungs.quality,
            logits=tuple(float(value) for value in np.atleast_1d(scores.logits[at])),
            probabilities=dict(zip(classes, values, strict=True)),
            probability=values[shown],
            decision=classes[decision],
            threshold=self.config.operating_point.threshold,
            distance=distance,
            meaning=self.config.meaning_of(values[shown]) if two else "",
            flags=tuple(flag for flag in flags if flag.code in self.raised),
            declared=film.declared,
            activation=None if scores.activation is None else scores.activation[at, 0 if two else shown],
        )


def _flags(film: Film, lungs: Lungs, image: Image, poor: float) -> tuple[Flag, ...]:
    """Flags that need no classifier; `poor` is the expected Dice below which a mask is flagged."""
    flags = []
    if lungs.reason:
        flags.append(Flag("lung_mask_failed", f"lung mask failed: {lungs.reason}; the whole film was used"))
    elif lungs.quality < poor:
        flags.append(Flag("lung_mask_failed", f"lung mask failed: expected Dice {lungs.quality:.3f}"))
    if min(film.size) < image.shape[0]:
        flags.append(
            Flag(
                "low_resolution",
                f"low resolution: {film.size[0]}x{film.size[1]} pixels, classifier image {image.shape[0]}",
            )
        )
    return tuple(flags)
