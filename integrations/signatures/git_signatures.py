"""Which kind of signature a tag bears, and whose verdict counts. No key outside the configuration is ever believed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from integrations.signatures import gpg as gpg_program
from integrations.signatures import ssh as ssh_program
from runbook.ports import SignatureCheck

_LARGEST_SIGNATURE = 64 * 1024  # characters
_LARGEST_PAYLOAD = 1024 * 1024
_PROCESSES = 4


class GitSignatures:
    """Fulfils `runbook.ports.Signatures`."""

    def __init__(
        self, *, ssh: Sequence[tuple[str, str]] = (), gpg: Sequence[str | Path] = (), timeout_s: float = 10.0
    ) -> None:
        """ssh: (principal, public key line) of each signer. gpg: armoured public keys, or files that hold one.

        Raises Permanent for a key that is none: a signer who can't be read must be noticed at start.
        """
        self._ssh = ssh_program.allowed_signers(ssh)
        self._gpg = tuple(gpg_program.read_key(key) for key in gpg)
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(_PROCESSES)

    async def verify(self, payload: str, signature: str) -> SignatureCheck:
        """See the port. Raises Permanent("signatures.no_program") where ssh-keygen or gpg is missing, Temporary when one hangs."""
        kind = signature.strip()
        if len(signature) > _LARGEST_SIGNATURE or len(payload) > _LARGEST_PAYLOAD:
            return SignatureCheck(False, code="bad_signature", reason="the tag or its signature is too large to be one")
        async with self._turns:
            if kind.startswith("-----BEGIN SSH SIGNATURE-----"):
                if not self._ssh:
                    return SignatureCheck(False, code="unknown_key", reason="no SSH signer is configured")
                return await ssh_program.verify(self._ssh, payload.encode(), signature, self._timeout_s)
            if kind.startswith("-----BEGIN PGP SIGNATURE-----"):
                if not self._gpg:
                    return SignatureCheck(False, code="unknown_key", reason="no GPG signer is configured")
                return await gpg_program.verify(self._gpg, payload.encode(), signature, self._timeout_s)
        reason = "the signature is neither SSH's nor GPG's (X.509 signatures are not supported)"
        return SignatureCheck(False, code="unsupported", reason=reason)
