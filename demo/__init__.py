"""The embedded cohort: synthetic frontal chest films with known lungs, as data for a fresh clone."""
