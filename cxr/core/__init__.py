"""What every package needs: sections, files, errors, versions of code."""
