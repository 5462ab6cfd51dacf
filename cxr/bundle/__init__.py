"""The bundle: one folder with everything that a prediction needs. Nothing here imports torch or pandas."""
