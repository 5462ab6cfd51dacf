"""The commands of `python -m cxr`."""
