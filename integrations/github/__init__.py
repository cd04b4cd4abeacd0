"""GitHub's REST API, reading only."""

from integrations.github.code_host import GitHub

__all__ = ["GitHub"]
