"""Which pictures of films go to Git: none of people, unless a setting says so."""

import logging
import shutil
from pathlib import Path

from cxr.core.errors import CxrError
from cxr.evaluate.measure import Block

log = logging.getLogger(__name__)


def publish_pictures(pictures: Path, plots: Path, setting: str, audit: Block) -> None:
    """Copy the pictures of films into `plots`, which Git keeps, where the setting and the cohort allow it.

    Args:
        pictures: folder of all pictures, which Git never sees.
        plots: folder of the plots.
        setting: `evaluate.pictures_in_git`; auto means only of a synthetic cohort.
        audit: what ingest found, with the fact `synthetic`.

    Raises:
        CxrError: the audit does not say whether the cohort is synthetic.
    """
    if "synthetic" not in audit:
        raise CxrError("data/audit.json: does not say whether the cohort is synthetic; run `dvc repro --force ingest`")
    if setting == "always" or (setting == "auto" and audit["synthetic"]):
        for picture in sorted(pictures.glob("*.png")):
            shutil.copyfile(picture, plots / picture.name)
    else:
        log.info("pictures of films are in data/pictures/, outside of Git (evaluate.pictures_in_git: %s)", setting)
