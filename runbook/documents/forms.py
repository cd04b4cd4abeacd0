"""The forms of single values, shared by forge.yaml and a release's file. Strict: an unknown key or a wrong type is refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints


class Section(BaseModel):
    """strict: a number in quotes is no number; extra: an unknown key is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


PATTERNS: dict[str, tuple[str, str]] = {}
"""What a pattern means, for people: (what the value should be, an example)."""


def form(pattern: str, what: str, example: str) -> StringConstraints:
    PATTERNS[pattern] = (what, example)
    return StringConstraints(pattern=pattern, max_length=500)


Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Name = Annotated[
    str, form(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "a name of lower-case letters, digits and hyphens", "web-api")
]
Variable = Annotated[str, form(r"^[A-Za-z_][A-Za-z0-9_]*$", "a variable's name", "SLACK_BOT_TOKEN")]
ImageRepository = Annotated[
    str,
    form(
        r"^[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$",
        "an image's repository without tag or digest",
        "registry.example/acme/web",
    ),
]
