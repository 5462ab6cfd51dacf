"""Metrics with intervals, operating point, subgroups, robustness, plots and pictures.

`results` turns a table of logits into everything that is written. Only `evaluate`, `inference`, `features`, `baselines`
and `pictures` see images; the rest works on the table of predictions alone.
"""
