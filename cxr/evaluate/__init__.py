"""How good, how sure, at which threshold, for whom, where it looks, and what it gets wrong.

Everything but `inference`, `gradcam` and `gallery` works on a table of predictions alone: no torch, no images.
"""
