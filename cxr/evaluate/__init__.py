"""How good, how sure, at which threshold, for whom, where it looks, and what it gets wrong.

`result` turns a table of logits into everything that is written: `metrics_json` makes metrics/metrics.json, and each
module of `details` the file of its name in metrics/details. Only `evaluate`, `inference`, `gradcam`, `gallery`,
`baseline` and `lung_sheet` see images; the rest works on the table of predictions alone.
"""
