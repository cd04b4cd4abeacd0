"""What the surrounding world adds to the page: its controls, its banner, the hints for the slash command."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

Json = dict[str, Any]
OnPanel = Callable[[str, Any], "Awaitable[str | None] | str | None"]


class Panel:
    """groups: `[{title, help, controls: [{id, label, kind: button|toggle|select, value, options, help, danger}]}]`.

    An option is a word, or `{value, label, group}`: options of one group stand together.

    hints: `[{name, usage, help, words}]`, e.g. name `deploy`, usage `<env> [version]`; words: optional lists of what may
    stand at each place, e.g. `[["dev", "staging"]]`.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._callback: OnPanel | None = None
        self.groups: list[Json] = []
        self.hints: list[Json] = []
        self.notice = ""

    def set_groups(self, groups: list[Json]) -> None:
        self.groups = groups
        self._tell("panel", groups=groups)

    def set_hints(self, hints: list[Json]) -> None:
        self.hints = hints
        self._tell("hints", hints=hints)

    def set_notice(self, text: str) -> None:
        self.notice = text
        self._tell("notice", notice=text)

    def on_use(self, callback: OnPanel) -> None:
        self._callback = callback

    async def use(self, control_id: str, value: Any) -> str:
        """A person used a control; the callback's text, if any, is shown as a short note. Raises KeyError for unknown ids."""
        control = self._control(control_id)
        said = self._callback(control_id, value) if self._callback else None
        text = await said if inspect.isawaitable(said) else said
        if control.get("kind") != "button":
            control["value"] = value
        self._tell("panel", groups=self.groups)
        return str(text or "")

    def _control(self, control_id: str) -> Json:
        for group in self.groups:
            for control in group.get("controls", []):
                if control["id"] == control_id:
                    return control  # type: ignore[no-any-return]  # JSON
        raise KeyError(control_id)
