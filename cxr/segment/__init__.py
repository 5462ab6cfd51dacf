"""Lung masks: the ONNX segmenter, clean-up, mask quality and plausibility, scores against reference masks."""
