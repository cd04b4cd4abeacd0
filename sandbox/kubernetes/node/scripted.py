"""The default runtime: no processes, only a script that says what each image does. It may be changed at any time."""

from __future__ import annotations

import re
from typing import Any

from sandbox.runtime import Behaviour


class ScriptedRuntime:
    """Behaviours by image; probes answer by the behaviour and by paths declared as failing.

    The last matching pattern (a regular expression, searched in the image reference) wins; without one a container runs.
    """

    def __init__(self, behaviours: dict[str, Behaviour] | None = None) -> None:
        self.behaviours: dict[str, Behaviour] = dict(behaviours or {})
        self.failing: set[tuple[str, str]] = set()  # (image pattern, probe path)
        self.running: dict[str, dict[str, Any]] = {}  # pod uid -> pod
        self.starts: list[str] = []  # pod uids, one a start

    def set(self, pattern: str, behaviour: Behaviour) -> None:
        """From the next start or probe on, images that match behave like this."""
        self.behaviours.pop(pattern, None)
        self.behaviours[pattern] = behaviour

    def fail(self, pattern: str, path: str) -> None:
        """Probes of this path fail from now on in containers of matching images."""
        self.failing.add((pattern, path))

    def heal(self, pattern: str, path: str) -> None:
        self.failing.discard((pattern, path))

    async def start(self, pod: dict[str, Any]) -> None:
        self.running[pod["metadata"]["uid"]] = pod
        self.starts.append(pod["metadata"]["uid"])

    async def stop(self, pod: dict[str, Any]) -> None:
        self.running.pop(pod["metadata"]["uid"], None)

    async def probe(self, pod: dict[str, Any], probe: dict[str, Any]) -> bool:
        path = probe.get("httpGet", {}).get("path", "")
        for container in pod["spec"]["containers"]:
            if probe not in (container.get(kind) for kind in ("readinessProbe", "livenessProbe", "startupProbe")):
                continue
            image = container["image"]
            if any(re.search(pattern, image) and path == failing for pattern, failing in self.failing):
                return False
            if probe == container.get("readinessProbe") and not self.behaviour(image).ready:
                return False
        return True

    def behaviour(self, image: str, _pod: dict[str, Any] | None = None) -> Behaviour:
        for pattern, behaviour in reversed(self.behaviours.items()):
            if re.search(pattern, image):
                return behaviour
        return Behaviour()
