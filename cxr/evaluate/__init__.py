"""How good, how sure, at which threshold, for whom, where it looks, and what it gets wrong.

`results` turns a table of logits into everything that is written. Only `evaluate`, `inference`, `features`, `baselines`
and `pictures` see images; the rest works on the table of predictions alone.
"""
