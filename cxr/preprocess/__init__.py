"""From a film and its lung mask to the image that a network sees."""
