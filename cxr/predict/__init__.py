"""Predictions of a bundle for new films, and the service."""
