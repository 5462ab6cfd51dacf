"""The version of the code that computes a result, and the revision of the repository."""

import ast
import subprocess
from pathlib import Path

from cxr.core.files import digest

ROOT = Path(__file__).parents[2]
# Modules that decide where code runs, how fast, and what it prints. No result depends on them.
WITHOUT_RESULT = ("cxr.aws", "cxr.commands", "cxr.films.cache", "cxr.runtime.compute", "cxr.runtime.console")
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def code_version(*modules: str) -> str:
    """Hash of some modules, such as `cxr.segment.film`, and of every first-party module that they import.

    The hash is of the syntax trees without docstrings: comments, docstrings and formatting do not change it.
    """
    return digest(*(part for name in sorted(reached(*modules)) for part in (name.encode(), _syntax(name))))


def reached(*modules: str) -> set[str]:
    """The modules and everything of the same top-level package that they import, directly or indirectly.

    Imports inside functions count. Modules in `WITHOUT_RESULT` do not.
    """
    todo, seen = list(modules), set(modules)
    while todo:
        for name in _imports(todo.pop()):
            if name not in seen and not f"{name}.".startswith(tuple(f"{without}." for without in WITHOUT_RESULT)):
                seen.add(name)
                todo.append(name)
    return seen


def _imports(module: str) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(_parse(module)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    top = module.partition(".")[0]
    return frozenset(name for name in names if name.partition(".")[0] == top and _path(name))


def _syntax(module: str) -> bytes:
    tree = _parse(module)
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return ast.dump(tree).encode()


def _parse(module: str) -> ast.Module:
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(module)
    return ast.parse(path.read_bytes())


def _path(module: str) -> Path | None:
    base = ROOT / module.replace(".", "/")
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def git_revision() -> str:
    """The commit checked out, with `-dirty` when files differ from it; `unknown` outside a repository."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
