"""Child processes that end with forge, however that ends: where `setpriv` is, the kernel kills them when forge is gone.

It works for children of the thread that began them, which has to live as long as forge does: the event loop's.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

NOT_RUN: Final = b"setpriv: failed to execute"
"""What stands on the standard error of a child whose program couldn't be run: it ends with 126 or 127 then."""


def ending_with_us(arguments: Sequence[str]) -> tuple[str, ...]:
    """The command line to run in place of this one; the same where this machine has no such way.

    arguments[0]: the whole path of a program. Raises FileNotFoundError and PermissionError, as running it would.
    """
    program = arguments[0]
    if not os.path.exists(program):  # noqa: PTH110 - only asked
        raise FileNotFoundError(2, os.strerror(2), program)
    if not os.access(program, os.X_OK):
        raise PermissionError(13, os.strerror(13), program)
    return (*_before(), *arguments)


@functools.cache
def _before() -> tuple[str, ...]:
    """util-linux's. https://man7.org/linux/man-pages/man1/setpriv.1.html"""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    words = (setpriv, "--pdeathsig", "KILL", "--")
    try:
        tried = subprocess.run((*words, setpriv, "--version"), capture_output=True, timeout=10, check=False)  # noqa: S603 - our own words
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return words if tried.returncode == 0 else ()  # another one's, such as busybox', may not know it
