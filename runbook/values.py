"""Values of the domain: versions, images, releases, people. Frozen, comparable, without behaviour of the outside world."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_VERSION = re.compile(r"v(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})(?:-rc\.([1-9]\d{0,5}))?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Environment(StrEnum):
    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


class Role(StrEnum):
    """Runbook: Roles and Responsibilities, and the approvers its gates name."""

    RELEASE_ENGINEER = "release_engineer"
    SERVICE_OWNER = "service_owner"
    DATABASE_OWNER = "database_owner"
    SECURITY_OWNER = "security_owner"
    PRODUCT = "product"
    OPERATIONS = "operations"
    ON_CALL = "on_call"


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """`vX.Y.Z` or the candidate `vX.Y.Z-rc.N`; a release sorts after its candidates.

    candidate: N of `-rc.N`, or None for a release.
    """

    major: int
    minor: int
    patch: int
    _rank: tuple[int, int]

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """None when the text is no version."""
        match = _VERSION.fullmatch(text)
        if match is None:
            return None
        major, minor, patch, candidate = match.groups()
        rank = (1, 0) if candidate is None else (0, int(candidate))
        return cls(int(major), int(minor), int(patch), rank)

    @property
    def candidate(self) -> int | None:
        return self._rank[1] if self._rank[0] == 0 else None

    def __str__(self) -> str:
        base = f"v{self.major}.{self.minor}.{self.patch}"
        return base if self.candidate is None else f"{base}-rc.{self.candidate}"


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class FrozenImage:
    """What one container of one workload will run: `repository@digest`, with the tag it was asked by."""

    workload: str
    container: str
    repository: str
    tag: str
    digest: str

    @property
    def reference(self) -> str:
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Release:
    """A version as it was verified: the tag object, its commit, who signed it, and the images' digests.

    tag_object: SHA of the annotated tag object; a moved tag has another.
    """

    service: str
    version: str
    tag_object: str
    commit: str
    signer: str
    images: tuple[FrozenImage, ...]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as looked up at this moment: never kept for a later decision.

    id: `T…:U…` for a Slack member, `os:<name>` for an operating-system user, `forge` for the bot itself.
    refusal: why this person may do nothing at all (deactivated, guest, bot, foreign workspace), or empty. unasked: roles of which nobody
    can say now whether this person holds them: they count for nothing, and the answer says so.
    can_decide: False for the command line, whose users can't approve, reject or sign off.
    """

    id: str
    name: str
    roles: frozenset[Role] = frozenset()
    refusal: str = ""
    can_decide: bool = True
    unasked: frozenset[Role] = frozenset()


FORGE = Actor("forge", "forge", can_decide=False)
