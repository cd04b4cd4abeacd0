"""A GitHub REST API for tests and the sandbox."""

from sandbox.github.objects import Link, Person, Submodule
from sandbox.github.server import LocalGitHub

__all__ = ["Link", "LocalGitHub", "Person", "Submodule"]
