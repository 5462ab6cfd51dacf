"""The NPZ set written by preprocess, its preparation, and the shards for training."""
