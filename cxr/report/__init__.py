"""Comparisons of revisions, the pull-request report, the model card, external metrics. No stage imports it."""
