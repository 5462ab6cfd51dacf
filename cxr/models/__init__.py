"""The classifier: backbone, pretrained weights, checkpoint, portable arithmetic."""
