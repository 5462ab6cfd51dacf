"""Commands about films: check before a run, label files with a held-out split, the steps of one film."""

import argparse
from pathlib import Path

from cxr.commands.parser import Commands
from cxr.core.errors import CxrError


def add_data_commands(commands: Commands) -> None:
    """Add check, holdout and show."""
    check = commands.add("check", _check)
    check.add_argument("folder", nargs="?", type=Path, help="films to recognise (default: data.root as it is set)")
    check.add_argument("--write", action="store_true", help="put the proposed section data into params.yaml")
    check.add_argument("--sheet", type=Path, default=Path("reports/films.png"), help="contact sheet of the films")

    holdout = commands.add("holdout", _holdout)
    holdout.add_argument("--out", type=Path, required=True, help="label file, inside data.root")
    holdout.add_argument("--root", type=Path, required=True, help="data.root: paths in the file are relative to it")
    holdout.add_argument("--share", type=float, default=1.0, help="share of the bias-conflicting patients to hold out")
    holdout.add_argument("--films", type=int, default=0, help="films to train and validate on, by patient; 0 = all")
    holdout.add_argument("--validation", type=float, default=0.2, help="share of the remaining patients for validation")
    holdout.add_argument("--seed", type=int, default=0, help="random seed")

    show = commands.add("show", _show)
    show.add_argument("image_id", nargs="?", help="a film of data/manifest.csv (default: the first positive one)")
    show.add_argument("--out", type=Path, default=Path("docs/images/film_journey.png"), help="PNG to write")


def _check(options: argparse.Namespace) -> None:
    """Check settings, films and machine before a run.

    Prints the interpretation of the settings and every error that would stop the run. Writes a contact sheet of films.
    With FOLDER, recognises a published cohort (cohorts.yaml), class folders or a label table, and prints the section
    data for it; --write puts it into params.yaml.
    """
    from cxr.commands.check import check, check_folder

    if options.folder is None and options.write:
        raise CxrError("--write needs the folder of the films, such as `python -m cxr check data/raw/mine --write`")
    if options.folder is None:
        check(options.sheet)
    else:
        check_folder(options.folder, options.write, options.sheet)


def _holdout(options: argparse.Namespace) -> None:
    """Write a label file whose test split is the bias-conflicting films.

    Acquisition features (sharpness, contrast, exposure, place of the lungs) may predict the label. Patients whose
    acquisition is least typical of their class are bias-conflicting: as many as give an acquisition AUROC of 0.5 among
    them. They become the test split, so a network that relies on acquisition loses there. The other patients are
    divided into training and validation. With --share below 1, some of these are bias-conflicting.
    """
    from cxr.commands.holdout import Draw, hold_out

    draw = Draw(options.validation, options.seed, options.share, options.films)
    hold_out(options.root, options.out, draw)


def _show(options: argparse.Namespace) -> None:
    """Draw the steps of one film through the pipeline."""
    from cxr.commands.show import show

    show(options.image_id, options.out)
