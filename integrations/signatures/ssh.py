"""SSH signatures of git tags, verified by `ssh-keygen -Y` against an allowed_signers file made of the configured signers.

Source: ssh-keygen(1), "ALLOWED SIGNERS" and `-Y find-principals`, `-Y verify`; git signs in the namespace `git`.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from integrations.programs import Finished, run_program
from runbook.errors import Permanent
from runbook.ports import SignatureCheck

SYSTEM = "signatures"
_REMEDY = "Install OpenSSH's ssh-keygen (Debian: apt-get install openssh-client), version 8.2 or newer"
_PRINCIPAL = re.compile(r"[^\s,*?!\"#]+")  # a pattern or a list would let one key speak for others
_KEY = re.compile(r"((?:sk-)?(?:ssh|ecdsa)-[A-Za-z0-9@.-]+) ([A-Za-z0-9+/]+={0,2})(?: .*)?")
_UNKNOWN = SignatureCheck(
    False, code="unknown_key", reason="the SSH key that signed is none of the configured signers'"
)
_BROKEN = SignatureCheck(False, code="bad_signature", reason="the SSH signature can't be read, or does not fit the tag")


def allowed_signers(signers: Sequence[tuple[str, str]]) -> str:
    """The file's text. Raises Permanent for a principal or key that could mean more than one signer."""
    lines = []
    for principal, key in signers:
        match = _KEY.fullmatch(key.strip())
        if match is None or not _PRINCIPAL.fullmatch(principal):
            remedy = "Write one principal (an e-mail address) and the one line of the .pub file"
            raise Permanent(
                SYSTEM, "bad_key", f"the SSH signer {principal[:100]!r} is not one principal with one key", remedy
            )
        lines.append(f'{principal} namespaces="git" {match[1]} {match[2]}\n')
    return "".join(lines)


async def verify(signers: str, payload: bytes, signature: str, timeout_s: float) -> SignatureCheck:
    """signers: of `allowed_signers`. The signer of the answer is the principal."""
    with tempfile.TemporaryDirectory(prefix="forge-ssh-") as folder:
        allowed, signed = Path(folder) / "allowed_signers", Path(folder) / "signature"
        await asyncio.to_thread(_write, {allowed: signers, signed: signature})

        async def keygen(*arguments: str, stdin: bytes = b"") -> Finished:
            command = ["ssh-keygen", "-Y", *arguments, "-s", str(signed)]
            return await run_program(SYSTEM, command, remedy=_REMEDY, stdin=stdin, timeout_s=timeout_s)

        found = await keygen("find-principals", "-f", str(allowed))
        principals = found.output.decode(errors="replace").split()
        if found.code != 0 or not principals:
            # Says the same of a signature that can't be read: whether it is one is a question of its own.
            sound = await keygen("check-novalidate", "-n", "git", stdin=payload)
            return _UNKNOWN if sound.code == 0 else _BROKEN
        verified = await keygen("verify", "-n", "git", "-f", str(allowed), "-I", principals[0], stdin=payload)
        if verified.code != 0:
            reason = f"the signature by {principals[0]}'s key does not fit the tag"
            return SignatureCheck(False, code="bad_signature", reason=reason)
        return SignatureCheck(True, signer=principals[0])


def _write(files: dict[Path, str]) -> None:
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
