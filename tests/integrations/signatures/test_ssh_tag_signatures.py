"""SSH signatures of tags against the real ssh-keygen and git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from integrations.signatures import GitSignatures
from runbook.errors import Permanent, Temporary
from sandbox.signing import SshSigner

PAYLOAD = (
    "object 1111111111111111111111111111111111111111\ntype commit\ntag v1.4.0-rc.2\ntagger A <a@b> 0 +0000\n\nRelease\n"
)


@pytest.fixture(scope="module")
def ada() -> SshSigner:
    return SshSigner.generate("ada@acme.example")


@pytest.fixture(scope="module")
def eve() -> SshSigner:
    return SshSigner.generate("eve@elsewhere.example")


def trusting(*signers: SshSigner) -> GitSignatures:
    return GitSignatures(ssh=[(signer.principal, signer.public_line) for signer in signers])


async def test_a_good_signature_names_its_signer(ada: SshSigner, eve: SshSigner) -> None:
    check = await trusting(eve, ada).verify(PAYLOAD, ada.sign(PAYLOAD.encode()))
    assert (check.valid, check.signer, check.code) == (True, "ada@acme.example", "ok")


async def test_an_unknown_key_is_refused(ada: SshSigner, eve: SshSigner) -> None:
    check = await trusting(ada).verify(PAYLOAD, eve.sign(PAYLOAD.encode()))
    assert (check.valid, check.code, check.signer) == (False, "unknown_key", "")
    assert check.reason


async def test_a_changed_payload_is_refused(ada: SshSigner) -> None:
    check = await trusting(ada).verify(PAYLOAD.replace("rc.2", "rc.3"), ada.sign(PAYLOAD.encode()))
    assert (check.valid, check.code) == (False, "bad_signature")


async def test_a_signature_for_another_purpose_is_refused(ada: SshSigner) -> None:
    check = await trusting(ada).verify(PAYLOAD, ada.sign(PAYLOAD.encode(), namespace="file"))
    assert (check.valid, check.code) == (False, "bad_signature")


async def test_a_broken_signature_is_refused(ada: SshSigner) -> None:
    armour = "-----BEGIN SSH SIGNATURE-----\nnonsense\n-----END SSH SIGNATURE-----\n"
    check = await trusting(ada).verify(PAYLOAD, armour)
    assert (check.valid, check.code) == (False, "bad_signature")


async def test_no_configured_signer_believes_nobody(ada: SshSigner) -> None:
    check = await GitSignatures().verify(PAYLOAD, ada.sign(PAYLOAD.encode()))
    assert (check.valid, check.code) == (False, "unknown_key")


@pytest.mark.parametrize(
    "signature", ["", "nonsense", "-----BEGIN SIGNED MESSAGE-----\nMII=\n-----END SIGNED MESSAGE-----"]
)
async def test_any_other_kind_of_signature_is_unsupported(ada: SshSigner, signature: str) -> None:
    check = await trusting(ada).verify(PAYLOAD, signature)
    assert (check.valid, check.code) == (False, "unsupported")


@pytest.mark.parametrize(
    "principal", ["*", "ada,eve", "two words", "!ada", "ada@acme.example\neve ssh-ed25519 AAAA", ""]
)
def test_a_principal_that_could_speak_for_others_is_refused_at_start(ada: SshSigner, principal: str) -> None:
    with pytest.raises(Permanent, match="one principal"):
        GitSignatures(ssh=[(principal, ada.public_line)])


@pytest.mark.parametrize(
    "key", ["", "ssh-ed25519", "cert-authority ssh-ed25519 AAAA", "ssh-ed25519 AAAA\n* ssh-ed25519 BBBB"]
)
def test_a_key_line_that_is_none_is_refused_at_start(key: str) -> None:
    with pytest.raises(Permanent):
        GitSignatures(ssh=[("ada@acme.example", key)])


async def test_a_tag_that_git_itself_signed_is_good(tmp_path: Path) -> None:
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada laptop", "-f", str(key)], check=True)
    payload, signature = signed_tag(tmp_path, ["-c", "gpg.format=ssh", "-c", f"user.signingkey={key}"], "SSH SIGNATURE")
    check = await GitSignatures(ssh=[("ada@acme.example", key.with_suffix(".pub").read_text())]).verify(
        payload, signature
    )
    assert (check.valid, check.signer) == (True, "ada@acme.example")


async def test_without_ssh_keygen_the_remedy_is_named(
    ada: SshSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Permanent) as caught:
        await trusting(ada).verify(PAYLOAD, ada.sign(PAYLOAD.encode()))
    assert caught.value.code == "signatures.no_program"
    assert "openssh-client" in caught.value.remedy


async def test_a_program_that_hangs_is_ended(ada: SshSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid_file = tmp_path / "pid"
    program = tmp_path / "ssh-keygen"
    program.write_text(f"#!/bin/sh\necho $$ > {pid_file}\nexec /bin/sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    signatures = GitSignatures(ssh=[(ada.principal, ada.public_line)], timeout_s=1.0)
    with pytest.raises(Temporary) as caught:
        await signatures.verify(PAYLOAD, ada.sign(PAYLOAD.encode()))
    assert caught.value.code == "signatures.timeout"
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()


def signed_tag(folder: Path, options: list[str], marker: str) -> tuple[str, str]:
    """Payload and signature of a tag that the real git makes and signs."""
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@acme.example"]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *identity, *options, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "one")
    git("tag", "-s", "-m", "Release 1.0.0", "v1.0.0")
    text = git("cat-file", "tag", "v1.0.0")
    payload, begin, rest = text.partition(f"-----BEGIN {marker}-----")
    return payload, begin + rest
