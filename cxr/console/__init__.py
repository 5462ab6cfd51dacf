"""What a person sees of a run: progress, log lines, one line for a fault. No result depends on this package."""
