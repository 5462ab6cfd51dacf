"""Commands about the repository itself: repair, prune, verify, offline plots."""

import argparse
import logging
import subprocess
import sys
from pathlib import Path

from cxr.commands.parser import Commands
from cxr.core.errors import CxrError

log = logging.getLogger(__name__)
TEMPLATE = Path(sys.prefix) / "share" / "dvc_plots.html"
VEGA_LITE = "5.21"  # DVC's templates and ours are written for 5
# DVC replaces the words in braces. Without {scripts}, the page loads nothing from the network.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>Plots</title>
<script>SCRIPTS</script>
<style>
body { font-family: sans-serif; margin: 1.5em; }
body > div { display: inline-block; vertical-align: top; margin: 0 1.5em 1.5em 0; }
img { max-width: 100%; }
</style>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def add_repo_commands(commands: Commands) -> None:
    """Add repair, prune, verify and setup-plots."""
    commands.add("repair", _repair)

    prune = commands.add("prune", _prune)
    prune.add_argument("--days", type=float, default=30, help="delete entries unused for longer (default: %(default)s)")

    verify = commands.add("verify", _verify)
    verify.add_argument("--within", type=float, metavar="AUROC", help="accept other bytes if AUROCs are this near")

    commands.add("setup-plots", _setup_plots)


def _repair(_: argparse.Namespace) -> None:
    """Repair the files that a killed DVC left half-written.

    Deletes a broken record of locks and restores a broken dvc.lock from the last commit. Run `dvc repro` afterwards.
    """
    from cxr.commands.repair import repair

    repair()


def _prune(options: argparse.Namespace) -> None:
    """Delete per-film results that no run has read for some time."""
    from cxr.films.cache import cache_root, prune

    files, size = prune(cache_root(), options.days)
    log.info("deleted %d entries, %.1f MB, from %s", files, size / 1e6, cache_root())


def _verify(options: argparse.Namespace) -> None:
    """Check that `dvc repro` reproduced the committed results.

    Names each stage whose outputs differ from the last commit, and each other file that changed. A processor that
    rounds differently gives other bytes. `--within 0.005` accepts them if code and parameters match dvc.lock, only
    results changed, every AUROC is within 0.005 of the committed one, and at most 1 % of the predictions differ.
    """
    from cxr.report.verify import verify

    verify(options.within)


def _setup_plots(_: argparse.Namespace) -> None:
    """Make `dvc plots show` and `dvc plots diff` work offline.

    DVC's page loads Vega from a CDN. This command writes a template with the same scripts, taken from vl-convert,
    beside the installed packages and names it in `.dvc/config.local`.
    """
    import vl_convert

    from cxr.core.files import write_text

    scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE).replace("</script", "<\\/script")
    write_text(TEMPLATE, PAGE.replace("SCRIPTS", scripts))  # about 0.9 MB
    command = [sys.executable, "-m", "dvc", "config", "--local", "plots.html_template", str(TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CxrError(f"dvc config: {' '.join(done.stderr.split())}")
    log.info("dvc plots: uses the offline template %s", TEMPLATE)
