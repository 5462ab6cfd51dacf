"""The version of some code, for cache keys and provenance."""

import ast
from pathlib import Path

from cxr.core.files import digest


def code_version(*packages: Path) -> str:
    """Hash of the modules of some packages as parsed, so that comments and formatting do not count."""
    parts = []
    for module in sorted(path for package in packages for path in package.rglob("*.py")):
        parts += [module.name.encode(), ast.dump(ast.parse(module.read_bytes())).encode()]
    return digest(*parts)
