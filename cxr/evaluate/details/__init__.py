"""The files of metrics/details: each module here writes the JSON of its name."""
