"""Chest X-ray pneumonia experiments: the library behind the stages of dvc.yaml."""
