"""Lungs on a film: the ONNX segmenter, the clean-up of its masks, their quality and plausibility, their scores."""
