"""GitHub, the registry of images, and signatures of tags, as the domain asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from runbook.ports.scans import ScanReport


@dataclass(frozen=True, slots=True)
class Tag:
    """A git tag. tag_object: SHA of the annotated tag object, or None for a lightweight tag. payload, signature: as git signs them;
    signature is None for an unsigned tag."""

    name: str
    commit: str
    tag_object: str | None
    tagger: str = ""
    payload: str = ""
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class CiCheck:
    """state: `success`, `failure` or `pending`; skipped and neutral checks count as success. url: where a person reads on."""

    name: str
    state: str
    url: str = ""


class CodeHost(Protocol):
    """GitHub. repository: `owner/name`."""

    async def tag(self, repository: str, name: str) -> Tag | None: ...

    async def tag_names(self, repository: str, prefix: str) -> tuple[str, ...]:
        """Names of the tags that begin with prefix, unordered, at most 1,000."""

    async def checks(self, repository: str, commit: str) -> tuple[CiCheck, ...]:
        """Check runs (the latest of each name) and commit statuses together."""

    def compare_url(self, repository: str, base: str, head: str) -> str: ...

    async def file(self, repository: str, path: str, commit: str) -> str | None:
        """A text file as it is at a commit (a full SHA); None when there is none. Raises `Permanent` with the
        code `….no_file` for a folder, link or submodule, `….no_text`, and `….large_file` over 1 MB."""

    async def release_notes(self, repository: str, tag: str) -> str | None:
        """The text of the published release of this tag; None when there is none."""

    async def code_scanning(self, repository: str, commit: str) -> ScanReport | None:
        """GitHub code scanning's newest analysis of this very commit, with the open alerts; None when it was never analysed (or code
        scanning is off)."""


class ImageRegistry(Protocol):
    async def digest(self, repository: str, tag: str) -> str | None:
        """`sha256:…` of the manifest or index that the tag names now; None when there is none."""


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """signer: the principal (SSH) or fingerprint and name (GPG) of a *configured* signer, when valid. reason: why not, when not.

    code: `ok`, `unknown_key`, `bad_signature`, `unsupported`.
    """

    valid: bool
    signer: str = ""
    code: str = "ok"
    reason: str = ""


class Signatures(Protocol):
    async def verify(self, payload: str, signature: str) -> SignatureCheck:
        """Checks a git tag's payload against the configured signers, here and not at GitHub: its `verified` outlives a revoked key."""
