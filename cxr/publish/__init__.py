"""Bundles in MLflow's registry and on the Hugging Face Hub: thin layers over the bundle and its predictor."""
