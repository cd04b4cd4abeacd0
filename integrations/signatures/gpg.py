"""GPG signatures of git tags, verified by `gpg` in a throw-away home that knows the configured keys and nothing else.

Source: gnupg's doc/DETAILS, "Format of the --status-fd output". The user's own keyring and agent are never touched.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from integrations.programs import Finished, run_program
from runbook.errors import Permanent
from runbook.ports import SignatureCheck

SYSTEM = "signatures"
_REMEDY = "Install GnuPG (Debian: apt-get install gpg)"
_BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_WEAK_HASHES = {"1": "MD5", "2": "SHA-1", "3": "RIPEMD-160"}  # RFC 4880, 9.4
_REFUSED = {
    "BADSIG": "the GPG signature does not fit the tag",
    "EXPSIG": "the GPG signature has expired",
    "EXPKEYSIG": "the GPG key that signed has expired: extend it and configure it again",
    "REVKEYSIG": "the GPG key that signed was revoked",
}


def read_key(key: str | Path) -> str:
    """The armoured key, from its text or its file. Raises Permanent where there is none, or a secret key."""
    text = key if isinstance(key, str) and _BEGIN in key else _file(Path(key)) if "\n" not in str(key) else ""
    if _BEGIN not in text or "PRIVATE KEY" in text:
        remedy = "Export it by `gpg --armor --export <fingerprint>`"
        raise Permanent(SYSTEM, "bad_key", "a configured GPG signer is no armoured public key", remedy)
    return text


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise Permanent(SYSTEM, "bad_key", f"the GPG key {path} can't be read", "Correct the path") from None


async def verify(keys: Sequence[str], payload: bytes, signature: str, timeout_s: float) -> SignatureCheck:
    """The signer of the answer is the primary key's fingerprint and the user id that gpg names."""
    with tempfile.TemporaryDirectory(prefix="forge-gpg-") as home:  # made with mode 0700

        async def gpg(*arguments: str, stdin: bytes = b"") -> Finished:
            command = ["gpg", "--homedir", home, "--no-options", "--batch", "--no-tty", "--no-autostart"]
            command += ["--trust-model", "always", "--no-auto-key-retrieve", "--status-fd", "1", *arguments]
            return await run_program(SYSTEM, command, remedy=_REMEDY, stdin=stdin, timeout_s=timeout_s)

        imported = await gpg("--import", stdin="\n".join(keys).encode())
        if not any(words[0] == "IMPORT_OK" for words in _status(imported)):
            remedy = "Export them again by `gpg --armor --export <fingerprint>`"
            raise Permanent(SYSTEM, "bad_key", "gpg can't read the configured public keys", remedy)
        signed = Path(home) / "signature.asc"
        await asyncio.to_thread(signed.write_text, signature, encoding="utf-8")
        return _judged(_status(await gpg("--verify", str(signed), "-", stdin=payload)))


def _status(finished: Finished) -> list[list[str]]:
    """The words of each status line, without its prefix."""
    lines = finished.output.decode(errors="replace").splitlines()
    return [words for line in lines if line.startswith("[GNUPG:] ") and (words := line.split()[1:])]


def _judged(status: list[list[str]]) -> SignatureCheck:
    """Exactly one signature, good, by a key in force, over a strong hash."""
    for words in status:
        if words[0] in _REFUSED:
            return SignatureCheck(False, code="bad_signature", reason=_REFUSED[words[0]])
    if any(words[0] == "NO_PUBKEY" for words in status):
        return SignatureCheck(
            False, code="unknown_key", reason="the GPG key that signed is none of the configured signers'"
        )
    good = [words for words in status if words[0] == "GOODSIG"]
    valid = [words for words in status if words[0] == "VALIDSIG" and len(words) >= 11]
    if len(good) != 1 or len(valid) != 1:
        return SignatureCheck(False, code="bad_signature", reason="the GPG signature can't be read, or is not just one")
    if weak := _WEAK_HASHES.get(valid[0][8]):
        return SignatureCheck(False, code="bad_signature", reason=f"the GPG signature rests on {weak}, which is broken")
    return SignatureCheck(True, signer=f"{valid[0][10]} {' '.join(good[0][2:])}".strip())
