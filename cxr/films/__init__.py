"""Films on disk and in memory: the manifest, the readers and the letterbox frame."""
