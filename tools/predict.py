"""Answer about films with a bundle: `python -m tools.predict FILMS... --bundle models/bundle --out predictions.csv`.

FILMS are files, folders or s3://bucket/prefix. A film that cannot be read becomes a row with its reason. A run that was
stopped resumes. With --labels the answers are compared with a reference, and nothing is fitted. Research use only.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from cxr.predict.batch import predict_into
from cxr.predict.predictor import Predictor
from cxr.runtime.console import run_stage

BUNDLE = Path("models/chest_xray")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write one row a film, and tell how many were answered, doubted and refused."""
    parser = argparse.ArgumentParser(prog="python -m tools.predict", description=__doc__)
    parser.add_argument("films", nargs="+", help="films, folders of films, or s3:// addresses")
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="folder of a bundle (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("predictions.csv"), help="table (default: %(default)s)")
    parser.add_argument("--overlays", type=Path, help="folder for one picture a film: lungs and evidence")
    parser.add_argument("--labels", help="CSV with columns path and label: prints frozen figures, too")
    parser.add_argument("--patient", default="", help="with --labels: what in a film's address names the patient")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads that prepare films")
    options = parser.parse_args(arguments)
    predictor = Predictor.load(options.bundle)
    records = predict_into(
        options.out, predictor, options.films, options.workers, options.overlays, statistics=bool(options.labels)
    )
    if options.labels:
        from tools.external import compare  # statistics and tables are loaded only here: serving has neither

        compare(records, predictor, options.labels, options.patient)


if __name__ == "__main__":
    run_stage(main)
