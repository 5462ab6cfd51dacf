"""Measurements: scripts that print ratios against a peer or a limit in one run, as `python -m benchmarks.NAME`."""
