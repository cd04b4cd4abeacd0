"""The errors that ports raise: foreign errors are translated to these at the border.

Two families: `Temporary` may pass by itself and is worth a bounded retry; `Permanent` needs a person. None of them ever
carries a secret, a token or a connection string.
"""

from __future__ import annotations


class ForgeError(Exception):
    """An error with its cause and its remedy.

    system: which outside system ("kubernetes", "github", …). code: a stable reason code such as `kubernetes.forbidden`.
    """

    def __init__(self, system: str, code: str, cause: str, remedy: str = "") -> None:
        super().__init__(f"{cause}. {remedy}" if remedy else cause)
        self.system = system
        self.code = f"{system}.{code}"
        self.cause = cause
        self.remedy = remedy


class Temporary(ForgeError):
    """Worth asking again: no answer in time, 429, 5xx, a lost connection. retry_after_s: the system's own wish, in seconds."""

    def __init__(
        self, system: str, code: str, cause: str, remedy: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(system, code, cause, remedy)
        self.retry_after_s = retry_after_s


class Permanent(ForgeError):
    """Asking again gives the same answer: 401, 403, 404, 422, a malformed answer."""


class Conflict(Temporary):
    """The object changed under us (409): read it again, then decide again."""


class StoreUnavailable(ForgeError):
    """The database can't be written: disk full, locked, connection lost. Nothing new starts; nothing is rolled back for it."""

    def __init__(self, code: str, cause: str, remedy: str = "") -> None:
        super().__init__("store", code, cause, remedy)
