"""A GitHub REST API for tests and the sandbox."""

from sandbox.github.objects import Person
from sandbox.github.server import LocalGitHub

__all__ = ["LocalGitHub", "Person"]
