"""Signatures of git tags, verified here by OpenSSH and GnuPG against the signers that were configured."""

from integrations.signatures.git_signatures import GitSignatures

__all__ = ["GitSignatures"]
