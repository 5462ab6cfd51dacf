"""Let `dvc plots show` and `dvc plots diff` work without a network: python -m tools.plots_page.

DVC's page loads Vega from a CDN. vl-convert, which draws the curves of reports, carries the same scripts; they go into
a template beside the installed packages, and the checkout's own `.dvc/config.local` names it. `make` does this once.
"""

import logging
import subprocess
import sys
from pathlib import Path

import vl_convert

from cxr.core.errors import CxrError
from cxr.core.files import write_text
from cxr.runtime.console import run_stage

TEMPLATE = Path(sys.prefix) / "share" / "dvc_plots.html"
VEGA_LITE = "5.21"  # DVC's templates and ours are written for 5
# DVC replaces the words in braces. Without {scripts} in it, the page asks the network for nothing.
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
log = logging.getLogger(__name__)


def main() -> None:
    """Write the template and name it in the configuration of this checkout."""
    write_text(TEMPLATE, page())
    command = [sys.executable, "-m", "dvc", "config", "--local", "plots.html_template", str(TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CxrError(f"dvc config: {' '.join(done.stderr.split())}")
    log.info("dvc plots: its page is made from %s and needs no network", TEMPLATE)


def page() -> str:
    """The template, about 0.9 MB."""
    scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE).replace("</script", "<\\/script")
    return PAGE.replace("SCRIPTS", scripts)


if __name__ == "__main__":
    run_stage(main)
