"""Faults put into system calls: the k-th that changes the disk fails, or is the last that the process makes."""

import builtins
import contextlib
import io
import os
from collections.abc import Callable
from typing import Any

import pytest

CALLS = ("replace", "rename", "fsync", "mkdir", "rmdir", "unlink")


class Exit:
    """Stands for a number of `errno`: the process ends there and then, with nothing flushed or cleared up."""


EXIT = Exit()
Fault = int | Exit


class Faults:
    """Counts calls that change the disk and lets one of them fail."""

    def __init__(self, patch: pytest.MonkeyPatch, fatal: int, fault: Fault) -> None:
        """`fatal` is the number of the call that fails, from 1; 0 lets none fail."""
        self.calls: list[str] = []
        self._fatal, self._fault = fatal, fault
        for name in CALLS:
            patch.setattr(os, name, self._mortal(name, getattr(os, name)))
        self._open = io.open
        for module in (io, builtins):
            patch.setattr(module, "open", self.open)

    def open(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        """As `open`; of a file to be written, every `write` is a call of its own."""
        if not set(mode) & set("wxa+"):
            return self._open(file, mode, *arguments, **options)
        self._call("open")
        return _Stream(self._open(file, mode, *arguments, **options), self)

    def write(self, stream: Any, content: Any) -> Any:
        """As `write`; one that fails has written half."""
        try:
            self._call("write", lambda: (stream.write(content[: len(content) // 2]), stream.flush()))
        except OSError:
            stream.close()
            raise
        return stream.write(content)

    def _mortal(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._call(name)
            return function(*arguments, **options)

        return call

    def _call(self, name: str, half: Callable[[], object] = lambda: None) -> None:
        self.calls.append(name)
        if len(self.calls) == self._fatal:
            half()
            if isinstance(self._fault, Exit):
                os._exit(9)
            raise OSError(self._fault, os.strerror(self._fault))


class _Stream:
    """A file whose writes are counted."""

    def __init__(self, stream: Any, faults: Faults) -> None:
        self._stream, self._faults = stream, faults

    def write(self, content: Any) -> Any:
        return self._faults.write(self._stream, content)

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def calls_of(action: Callable[[], object]) -> list[str]:
    """The calls that an undisturbed action makes."""
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch, 0, EXIT)
        action()
    return faults.calls


def disturbed(action: Callable[[], object], fatal: int, fault: Fault) -> None:
    """Run an action whose `fatal`-th call fails; one that ends its process has a process of its own."""
    if not isinstance(fault, Exit):
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, fatal, fault)
            with contextlib.suppress(OSError):  # or it gets along without that call
                action()
            assert len(faults.calls) >= fatal, "the call was never made"
        return
    child = os.fork()
    if child == 0:
        try:
            Faults(pytest.MonkeyPatch(), fatal, fault)
            action()
        finally:
            os._exit(0)  # not reached, or the call was never made
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
