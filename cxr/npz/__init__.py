"""The NPZ set: what preprocess writes and what training and evaluation read."""
