"""Takes what looks like a secret out of texts that come from running programs, before they become evidence."""

from __future__ import annotations

import re

_SECRETS = (
    re.compile(r"(?i)(bearer\s+)[^\s\"',;]+"),
    re.compile(r"(?i)(\"[^\"]*(?:token|secret|password|authorization|api_?key)[^\"]*\"\s*:\s*)(?:\"(?:[^\"\\]|\\.)*\"?|[^,}\s]+)"),
    re.compile(r"()\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"),
    re.compile(r"(?i)((?:token|secret|password|passwd|api_?key)\s*[=:]\s*)[^\s\"',;&]+"),
    re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)"),
    re.compile(r"()(?:xox[a-z]-|xapp-|gh[a-z]_|github_pat_|AKIA|AGE-SECRET-KEY-1)[\w-]{8,}"),
)  # fmt: skip


def redacted(text: str) -> str:
    """Without what looks like a secret: a service may echo what it was sent."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text
