"""Answers about films that nobody has labelled: the predictor and what is built on it."""
