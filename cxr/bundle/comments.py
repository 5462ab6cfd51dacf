"""What each line of inference_config.yaml means, for the person who reads it."""

HEADER = """\
RESEARCH USE ONLY. Not a medical device; not for diagnosis or treatment of anyone.

How this bundle reads a film: decode it to 8-bit grey, find the lungs (lung_segmenter.onnx, preparation.segment), make
the stored image (preparation.preprocess), score it (classifier.onnx), divide the logit by the temperature, and compare
the calibrated probability with the threshold (operating_point). SHA256SUMS covers this file: an edit is noticed.
"""

COMMENTS = {
    "format": "version of this file's layout",
    "classes": "of two, the second is the finding",
    "backbone": "name of the network in timm",
    "image_px": "side of the stored image, pixels",
    "preparation": "from a film's bytes to the stored image",
    "preparation.segment": "how the lungs are found",
    "preparation.segment.code": "hash of the modules that did it for the training films",
    "preparation.segment.versions": "of the libraries that did it for the training films",
    "preparation.segment.lung_model": "hash of lung_segmenter.onnx",
    "preparation.segment.settings.seg_on_gray": "true: the network sees the grey film; false: its own colours, if any",
    "preparation.segment.settings.threshold": "probability of lung from which a pixel counts",
    "preparation.segment.settings.min_area": "of both lungs, share of the film; outside, the whole film is the mask",
    "preparation.segment.settings.max_area": "the same, upwards",
    "preparation.segment.settings.min_lung_ratio": "area of the smaller lung over that of the larger",
    "preparation.segment.settings.max_offset": "of the lungs' centre from the film's, share of the film's side",
    "preparation.segment.settings.min_quality": "Dice to expect of a mask; with less, the whole film is the mask",
    "preparation.preprocess": "how the stored image is made from film and lungs",
    "preparation.preprocess.code": "hash of the modules that did it for the training films",
    "preparation.preprocess.versions": "of the libraries that did it for the training films",
    "preparation.preprocess.settings.region": "crop to the lungs, mask (only lungs), none (the whole film)",
    "preparation.preprocess.settings.fit": "squash (fill the square) or letterbox (keep the aspect, black bars)",
    "preparation.preprocess.settings.margin": "around the lungs, share of the longer side of their box",
    "preparation.preprocess.settings.clahe_probability": "share of the films that get CLAHE, drawn by film",
    "preparation.preprocess.settings.blur_sigma": "Gaussian blur, pixels; 0 = off",
    "preparation.preprocess.settings.stretch": "grey levels stretched to 0..255",
    "preparation.preprocess.settings.sharpen": "amount of unsharp masking; 0 = off",
    "preparation.preprocess.settings.colour": "grey (three equal channels) or the film's own colours",
    "operating_point": "from logit to decision; fitted on validation films only",
    "operating_point.classifier": "fingerprint of the weights that it belongs to",
    "operating_point.rule": "how the threshold was chosen",
    "operating_point.threshold": "calibrated probability from which the finding is called",
    "operating_point.threshold_low": "95 % interval over resampled validation patients",
    "operating_point.temperature": "divides the logit before it becomes a probability",
    "operating_point.films": "validation films that it was fitted on",
    "familiar": "when a film is unlike those that the classifier was trained on",
    "familiar.limit": "largest familiar distance in feature space",
    "familiar.share": "of the validation films, which lie within the limit",
    "familiar.films": "validation films that set the limit",
    "meaning": "films and findings of validation by calibrated probability; two classes only",
}
