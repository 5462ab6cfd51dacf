"""The bundle: one folder with all that is needed to answer about a film. Nothing here needs torch or pandas."""
