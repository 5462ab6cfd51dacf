"""How models/lung_segmenter.onnx is made: a DVC pipeline, prepare -> screen -> train -> evaluate -> export."""
