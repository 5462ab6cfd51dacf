"""Acquisition features, and how well they predict the label."""
