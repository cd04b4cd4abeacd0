"""A container registry for tests and the sandbox."""

from sandbox.registry.server import LocalRegistry

__all__ = ["LocalRegistry"]
