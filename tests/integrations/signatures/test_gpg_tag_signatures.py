"""GPG signatures of tags against the real gpg and git, with keys made for the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from integrations.signatures import GitSignatures
from runbook.errors import Permanent

PAYLOAD = (
    "object 1111111111111111111111111111111111111111\ntype commit\ntag v1.4.0-rc.2\ntagger A <a@b> 0 +0000\n\nRelease\n"
)


@dataclass
class Keyring:
    """A GNUPGHOME of its own. Its path is short: gpg-agent's socket has at most 108 characters."""

    home: str

    def gpg(self, *arguments: str, stdin: str = "") -> str:
        command = ["gpg", "--homedir", self.home, "--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback"]
        command += ["--passphrase", "", *arguments]
        return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout

    def make(self, person: str, *options: str, expires: str = "never") -> str:
        """A signing key; returns its fingerprint."""
        self.gpg(*options, "--quick-generate-key", person, "ed25519", "sign", expires)
        listed = self.gpg("--with-colons", "--list-keys", person)
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))

    def public(self, fingerprint: str) -> str:
        return self.gpg("--armor", "--export", fingerprint)

    def sign(self, fingerprint: str, *options: str, payload: str = PAYLOAD) -> str:
        return self.gpg(*options, "--armor", "--local-user", fingerprint, "--detach-sign", stdin=payload)


@pytest.fixture(scope="module")
def keyring() -> Iterator[Keyring]:
    home = tempfile.mkdtemp(prefix="fg-", dir="/tmp")
    Path(home).chmod(0o700)
    yield Keyring(home)
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def ada(keyring: Keyring) -> str:
    return keyring.make("Ada Lovelace <ada@acme.example>")


async def test_a_good_signature_names_fingerprint_and_person(keyring: Keyring, ada: str) -> None:
    check = await GitSignatures(gpg=[keyring.public(ada)]).verify(PAYLOAD, keyring.sign(ada))
    assert (check.valid, check.code) == (True, "ok")
    assert check.signer == f"{ada} Ada Lovelace <ada@acme.example>"


async def test_the_key_may_stand_in_a_file(keyring: Keyring, ada: str, tmp_path: Path) -> None:
    path = tmp_path / "ada.asc"
    path.write_text(keyring.public(ada))
    for given in (path, str(path)):
        assert (await GitSignatures(gpg=[given]).verify(PAYLOAD, keyring.sign(ada))).valid


async def test_a_key_beside_the_configured_ones_is_unknown(keyring: Keyring, ada: str) -> None:
    eve = keyring.make("Eve <eve@elsewhere.example>")
    check = await GitSignatures(gpg=[keyring.public(ada)]).verify(PAYLOAD, keyring.sign(eve))
    assert (check.valid, check.code, check.signer) == (False, "unknown_key", "")


async def test_the_keyring_of_forges_own_user_counts_for_nothing(
    keyring: Keyring, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = keyring.make("Other <other@acme.example>")
    monkeypatch.setenv("GNUPGHOME", keyring.home)
    check = await GitSignatures(gpg=[keyring.public(other)]).verify(PAYLOAD, keyring.sign(ada))
    assert (check.valid, check.code) == (False, "unknown_key")


async def test_a_changed_payload_is_refused(keyring: Keyring, ada: str) -> None:
    check = await GitSignatures(gpg=[keyring.public(ada)]).verify(PAYLOAD + "x", keyring.sign(ada))
    assert (check.valid, check.code) == (False, "bad_signature")


async def test_an_expired_key_is_refused(keyring: Keyring) -> None:
    past = ["--faked-system-time", "20200101T000000"]
    key = keyring.make("Old <old@acme.example>", *past, expires="1y")
    check = await GitSignatures(gpg=[keyring.public(key)]).verify(PAYLOAD, keyring.sign(key, *past))
    assert (check.valid, check.code) == (False, "bad_signature")
    assert "expired" in check.reason


async def test_an_expired_signature_is_refused(keyring: Keyring) -> None:
    past = ["--faked-system-time", "20200101T000000"]
    key = keyring.make("Still <still@acme.example>", *past)
    signature = keyring.sign(key, *past, "--default-sig-expire", "1d")
    check = await GitSignatures(gpg=[keyring.public(key)]).verify(PAYLOAD, signature)
    assert (check.valid, check.code) == (False, "bad_signature")
    assert "expired" in check.reason


async def test_a_revoked_key_is_refused(keyring: Keyring) -> None:
    key = keyring.make("Left <left@acme.example>")
    signature = keyring.sign(key)
    certificate = (
        (Path(keyring.home) / "openpgp-revocs.d" / f"{key}.rev").read_text().replace(":-----BEGIN", "-----BEGIN")
    )
    keyring.gpg("--import", stdin=certificate)
    check = await GitSignatures(gpg=[keyring.public(key)]).verify(PAYLOAD, signature)
    assert (check.valid, check.code) == (False, "bad_signature")
    assert "revoked" in check.reason


@pytest.mark.parametrize("weak", ["SHA1", "RIPEMD160"])
async def test_a_signature_over_a_broken_hash_is_refused(keyring: Keyring, weak: str) -> None:
    person = f"Weak {weak} <weak-{weak.lower()}@acme.example>"
    keyring.gpg("--quick-generate-key", person, "rsa2048", "sign", "never")
    signature = keyring.sign(person, "--digest-algo", weak, "--allow-weak-digest-algos")
    check = await GitSignatures(gpg=[keyring.gpg("--armor", "--export", person)]).verify(PAYLOAD, signature)
    assert (check.valid, check.code) == (False, "bad_signature")


async def test_two_signatures_in_one_are_refused(keyring: Keyring, ada: str) -> None:
    second = keyring.make("Second <second@acme.example>")
    signature = keyring.sign(ada, "--local-user", second)
    check = await GitSignatures(gpg=[keyring.public(ada), keyring.public(second)]).verify(PAYLOAD, signature)
    assert not check.valid


async def test_a_broken_signature_is_refused(keyring: Keyring, ada: str) -> None:
    armour = "-----BEGIN PGP SIGNATURE-----\n\nnonsense\n-----END PGP SIGNATURE-----\n"
    check = await GitSignatures(gpg=[keyring.public(ada)]).verify(PAYLOAD, armour)
    assert (check.valid, check.code) == (False, "bad_signature")


async def test_a_tag_that_git_itself_signed_is_good(keyring: Keyring, ada: str, tmp_path: Path) -> None:
    environment = {**os.environ, "GNUPGHOME": keyring.home}
    options = ["-c", "user.name=Ada", "-c", "user.email=ada@acme.example", "-c", f"user.signingkey={ada}"]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), *options, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "one")
    git("tag", "-s", "-m", "Release 1.0.0", "v1.0.0")
    payload, begin, rest = git("cat-file", "tag", "v1.0.0").partition("-----BEGIN PGP SIGNATURE-----")
    assert (await GitSignatures(gpg=[keyring.public(ada)]).verify(payload, begin + rest)).valid


@pytest.mark.parametrize("given", ["", "no key", "/no/such/file.asc"])
def test_a_key_that_is_none_is_refused_at_start(given: str) -> None:
    with pytest.raises(Permanent) as caught:
        GitSignatures(gpg=[given])
    assert caught.value.code == "signatures.bad_key"


def test_a_secret_key_is_refused_at_start_and_never_shown(keyring: Keyring, ada: str) -> None:
    secret = keyring.gpg("--armor", "--export-secret-keys", ada)
    with pytest.raises(Permanent) as caught:
        GitSignatures(gpg=[secret])
    assert secret.splitlines()[3] not in f"{caught.value!r}{caught.value}"


async def test_without_gpg_the_remedy_is_named(
    keyring: Keyring, ada: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signatures, signature = GitSignatures(gpg=[keyring.public(ada)]), keyring.sign(ada)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Permanent) as caught:
        await signatures.verify(PAYLOAD, signature)
    assert caught.value.code == "signatures.no_program"
    assert "apt-get install gpg" in caught.value.remedy


async def test_nothing_of_a_verification_stays_behind(
    keyring: Keyring, ada: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    await GitSignatures(gpg=[keyring.public(ada)]).verify(PAYLOAD, keyring.sign(ada))
    assert list(tmp_path.iterdir()) == []
