"""Collects what is wrong with a payload, in Slack's wording: `must be less than 151 characters [json-pointer:/blocks/0/text/text]`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeGuard


class Check:
    """The problems found so far in one message or view."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def fail(self, what: str, pointer: str) -> None:
        self.problems.append(f"{what} [json-pointer:{pointer}]")

    def mapping(self, value: object, pointer: str) -> TypeGuard[dict[str, Any]]:
        if isinstance(value, dict):
            return True
        self.fail("must be an object", pointer)
        return False

    def keys(self, value: dict[str, Any], pointer: str, *, allowed: Collection[str], needed: Collection[str]) -> None:
        for key in value:
            if key not in allowed:
                self.fail(f"invalid additional property: {key}", pointer)
        for key in needed:
            if value.get(key) is None:
                self.fail(f"missing required field: {key}", pointer)

    def string(self, value: object, pointer: str, *, most: int, least: int = 1) -> None:
        if value is None:
            return
        if not isinstance(value, str):
            self.fail("must be a string", pointer)
        elif len(value) < least:
            self.fail(f"must be more than {least - 1} characters", pointer)
        elif len(value) > most:
            self.fail(f"must be less than {most + 1} characters", pointer)

    def items(self, value: object, pointer: str, *, most: int, least: int = 1) -> TypeGuard[list[Any]]:
        if not isinstance(value, list):
            self.fail("must be an array", pointer)
            return False
        if len(value) > most:
            self.fail(f"no more than {most} items allowed", pointer)
        if len(value) < least:
            self.fail(f"no fewer than {least} items allowed" if least > 1 else "must not be empty", pointer)
        return True

    def text(self, value: object, pointer: str, *, most: int, plain: bool = False) -> None:
        """A text object; `plain`: only `plain_text` will do."""
        if value is None or not self.mapping(value, pointer):
            return
        kind = value.get("type")
        if kind not in (("plain_text",) if plain else ("plain_text", "mrkdwn")):
            self.fail(f"unsupported type: {kind}", f"{pointer}/type")
            return
        extra = "emoji" if kind == "plain_text" else "verbatim"
        self.keys(value, pointer, allowed=("type", "text", extra), needed=("text",))
        self.string(value.get("text"), f"{pointer}/text", most=most)

    def choice(self, value: object, pointer: str, allowed: Collection[str]) -> None:
        if value is not None and value not in allowed:
            self.fail(f"must be one of the following values: {', '.join(allowed)}", pointer)
