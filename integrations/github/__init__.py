"""GitHub's REST API."""

from integrations.github.code_host import GitHub

__all__ = ["GitHub"]
