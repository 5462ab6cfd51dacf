"""The operating point: temperature and threshold."""
