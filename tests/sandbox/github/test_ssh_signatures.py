"""The real ssh-keygen and git accept what the sandbox signs."""

import subprocess
from pathlib import Path

import pytest

from sandbox.github import LocalGitHub
from sandbox.signing import SshSignature, SshSigner, fingerprint, key_blob

REPO = "acme/shop"


def verify(folder: Path, signer: SshSigner, armoured: str, payload: bytes, namespace: str = "git") -> int:
    (folder / "allowed").write_text(signer.allowed_signer + "\n")
    (folder / "sig").write_text(armoured)
    asked = ["ssh-keygen", "-Y", "verify", "-f", str(folder / "allowed"), "-I", signer.principal]
    asked += ["-n", namespace, "-s", str(folder / "sig")]
    return subprocess.run(asked, input=payload, capture_output=True, check=False).returncode


def test_ssh_keygen_accepts_the_signature_and_refuses_another_payload(tmp_path: Path) -> None:
    signer = SshSigner.generate("ada@example.test")
    armoured = signer.sign(b"object 1\n")
    assert verify(tmp_path, signer, armoured, b"object 1\n") == 0
    assert verify(tmp_path, signer, armoured, b"object 2\n") != 0


def test_ssh_keygen_refuses_another_namespace_and_another_persons_key(tmp_path: Path) -> None:
    ada, eve = SshSigner.generate("ada@example.test"), SshSigner.generate("eve@example.test")
    assert verify(tmp_path, ada, ada.sign(b"x", namespace="file"), b"x") != 0
    assert verify(tmp_path, ada, eve.sign(b"x"), b"x") != 0


def test_the_public_line_is_one_that_ssh_keygen_reads_with_our_fingerprint(tmp_path: Path) -> None:
    signer = SshSigner.generate("ada@example.test")
    (tmp_path / "key.pub").write_text(signer.public_line + "\n")
    shown = subprocess.run(["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")], capture_output=True, check=True)
    assert signer.fingerprint in shown.stdout.decode()
    assert fingerprint(key_blob(signer.public_line)) == signer.fingerprint


def test_a_signature_that_ssh_keygen_made_is_read_and_verified(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    made = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(key)], input=b"payload", capture_output=True, check=True
    )
    signature = SshSignature.read(made.stdout.decode())
    assert signature.verifies(b"payload")
    assert not signature.verifies(b"other")
    assert signature.key_blob == key_blob((tmp_path / "key.pub").read_text())


@pytest.mark.parametrize("text", ["", "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----", "PGP"])
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - base64's own words vary
        SshSignature.read(text)


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(["git", *arguments], cwd=folder, input=stdin, capture_output=True, check=False, env=clean)


def clone(github: LocalGitHub, folder: Path, signer: SshSigner) -> None:
    """Write the stand-in's objects and refs into a real git repository."""
    assert git(folder, "init", "-q").returncode == 0
    for sha, each in github.repository(REPO).objects.items():
        written = git(folder, "hash-object", "-w", "-t", each.kind, "--stdin", stdin=each.body)
        assert written.stdout.decode().strip() == sha, written.stderr.decode()
    for ref, sha in github.repository(REPO).refs.items():
        assert git(folder, "update-ref", ref, sha).returncode == 0
    (folder / "allowed").write_text(signer.allowed_signer + "\n")
    git(folder, "config", "gpg.format", "ssh")
    git(folder, "config", "gpg.ssh.allowedSignersFile", str(folder / "allowed"))


def test_git_verifies_the_signed_tag_and_the_whole_repository(tmp_path: Path) -> None:
    signer, github = SshSigner.generate("ada@example.test"), LocalGitHub()
    github.commit(REPO, "First", files={"README.md": "hello\n", "deploy/web.yaml": "a: 1\n", "deploy-x": "x"})
    sha = github.commit(REPO, "Second\n\nwith a body", "Bob <bob@example.test>", files={"deploy/b/c.txt": b"\x00\xff"})
    github.tag(REPO, "v1.4.0-rc.1", sha, signer=signer, message="Candidate 1\n\nof 1.4.0")
    clone(github, tmp_path, signer)
    verified = git(tmp_path, "verify-tag", "v1.4.0-rc.1")
    assert verified.returncode == 0, verified.stderr.decode()
    assert b"ada@example.test" in verified.stderr
    checked = git(tmp_path, "fsck", "--strict", "--full")
    assert checked.returncode == 0, checked.stderr.decode()


def test_git_refuses_the_tag_of_an_unknown_signer(tmp_path: Path) -> None:
    ada, eve, github = SshSigner.generate("ada@example.test"), SshSigner.generate("eve@example.test"), LocalGitHub()
    github.tag(REPO, "v1.0.0", github.commit(REPO, files={"a": "1"}), signer=eve)
    clone(github, tmp_path, ada)
    assert git(tmp_path, "verify-tag", "v1.0.0").returncode != 0
