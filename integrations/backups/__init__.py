"""Where backups are kept: encrypted with age on their way, in a local folder or object storage, each with a signed manifest."""

from integrations.backups.address import RepositoryAddress
from integrations.backups.compression import is_compressed
from integrations.backups.manifests import Signer, backup_place, wal_place
from integrations.backups.repository import Repository

__all__ = ["Repository", "RepositoryAddress", "Signer", "backup_place", "is_compressed", "wal_place"]
