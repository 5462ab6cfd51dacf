"""Compute settings, parallel work and console output. No result depends on this package."""
