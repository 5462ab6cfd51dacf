"""Shared basics: parameter sections, atomic files, errors, code versions."""
