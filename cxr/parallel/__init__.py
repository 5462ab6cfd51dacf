"""Per-film work: many processes, and a cache that experiments share."""
