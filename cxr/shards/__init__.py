"""Shards: the films of an NPZ set packed into a few large arrays, the unit of transfer and of training."""
