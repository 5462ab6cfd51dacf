"""Films on disk and in memory: manifest, decoding, letterbox frame, per-film cache."""
