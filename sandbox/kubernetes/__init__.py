"""A Kubernetes API in one process, for people without a cluster and for tests without mocks."""

from __future__ import annotations

from sandbox.kubernetes.access import Rule, User
from sandbox.kubernetes.local import LocalKubernetes
from sandbox.kubernetes.node.scripted import ScriptedRuntime
from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.server import Received
from sandbox.kubernetes.status import ApiError
from sandbox.runtime import Behaviour, Crash, Runtime

__all__ = [
    "ApiError", "Behaviour", "Crash", "LocalKubernetes", "Received", "Resource", "Rule", "Runtime", "ScriptedRuntime",
    "User",
]  # fmt: skip
