"""From a trained classifier to a bundle that runs without torch."""
