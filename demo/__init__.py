"""The embedded cohort: synthetic frontal chest films with known lungs, so that a fresh clone has data to run on."""
