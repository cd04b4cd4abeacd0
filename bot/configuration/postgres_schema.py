"""The form of `integrations.postgres` in forge.yaml: databases, and where their backups go. A connection in the clear is refused here."""

from __future__ import annotations

import ipaddress
from importlib import import_module
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bot.configuration.secret_schema import SecretReference
from runbook.documents.forms import Name, Section, Text, form
from runbook.durations import Duration
from runbook.values import Environment

ENCRYPTED = ("require", "verify-ca", "verify-full")
"""Values of `sslmode` with which nothing crosses the network in the clear."""

_SCHEMES = ("s3://", "gs://", "az://")

Host = Annotated[
    str,
    form(
        r"^(/[^\s,]*|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$",
        "one host's name or address, or the folder of a Unix socket",
        "db.example",
    ),
]
DatabaseName = Annotated[str, form(r"^[^\s=/'\\]{1,63}$", "a database's name", "shop")]
RoleName = Annotated[str, form(r"^[^\s='\\]{1,63}$", "a role's name", "forge_backup")]
SlotName = Annotated[str, form(r"^[a-z0-9_]{1,63}$", "a replication slot's name", "forge_shop")]
Folder = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


def is_local(host: str) -> bool:
    """Whether nothing leaves this machine on the way to it: loopback, or the folder of a Unix socket."""
    if host.startswith("/") or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refusal(kind: str, cause: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{cause}", {"cause": cause, "remedy": remedy})


def check_recipient(text: str) -> str:
    """An age public key. Raises PydanticCustomError, which never quotes what may be a private one."""
    if text.upper().startswith("AGE-SECRET-KEY-"):
        remedy = "Replace this key, it is compromised; here stands what `age-keygen -y` prints of it: age1…"
        raise _refusal("recipient", "this is a private key, and must not stand in this file", remedy)
    pyrage = import_module("pyrage")  # not before there is a key to look at: most bots need none of it
    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        remedy = "Write what `age-keygen -y` prints, age1…: the whole of it, 62 characters"
        raise _refusal("recipient", "this is no age public key", remedy) from None
    return text


def _check_destination(text: str) -> str:
    if "://" not in text:
        return text
    scheme, _, rest = text.partition("://")
    if f"{scheme}://" not in _SCHEMES:
        remedy = "Write a folder's path, or s3://bucket/prefix, gs://bucket/prefix, az://account/container/prefix"
        raise _refusal("destination", f"backups can't be kept at {scheme}://", remedy)
    if "@" in rest or "?" in rest or "#" in rest:
        remedy = "Write bucket and prefix alone; keys belong beneath `s3`, as {env: NAME} or {file: PATH}"
        raise _refusal("destination", "the address has more than a bucket and a prefix", remedy)
    if not rest.strip("/"):
        raise _refusal("destination", "the address has no bucket", f"Write {scheme}://bucket/prefix")
    return text


def _check_endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_local(parts.hostname or ""):
        raise _refusal("endpoint", "backups would cross the network without TLS", "Write an https:// address")
    return url


Recipient = Annotated[str, StringConstraints(max_length=500), AfterValidator(check_recipient)]
Place = Annotated[Folder, AfterValidator(_check_destination)]
Endpoint = Annotated[
    str,
    form(
        r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", "an https address without user, query or fragment", "https://s3.example"
    ),
    AfterValidator(_check_endpoint),
]


SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


def _default_mode(host: str) -> str:
    return "prefer" if is_local(host) else "verify-full"


def _check_encrypted(mode: str, host: str) -> None:
    if mode not in ENCRYPTED and not is_local(host):
        cause = f"sslmode {mode} would let passwords and data cross the network in the clear"
        raise _refusal("sslmode", cause, "Write verify-full (with sslrootcert), or require at the least")


class ReaderSection(Section):
    """Who looks at the statistics: a role that may read them and nothing else."""

    user: RoleName = Field(description="A member of `pg_monitor` that owns nothing.")
    password: SecretReference | None = Field(default=None, description="Its password.")


class DatabaseSection(Section):
    host: Host = Field(description="Its server; a path is the folder of a Unix socket.")
    port: PortNumber = Field(default=5432, description="The server's port.")
    name: DatabaseName = Field(description="The database's name.")
    user: RoleName = Field(description="Who makes backups: may read everything, and with `wal` has REPLICATION.")
    password: SecretReference | None = Field(
        default=None, description="Its password; without one the server has to know forge otherwise."
    )
    sslmode: SslMode | None = Field(
        default=None,
        description="Default: `verify-full`; on this machine `prefer`. Less than `require` is refused but on this machine.",
    )
    sslrootcert: Text | None = Field(
        default=None,
        description="Certificate authority of the server's certificate: a file, or `system` (libpq 16 and newer); "
        "default: libpq's own, `~/.postgresql/root.crt`.",
    )
    wal: bool = Field(
        default=False, description="Whether its WAL is received all the time, for recovery to a point in time."
    )
    slot: SlotName | None = Field(default=None, description="Of the WAL; default: `forge_<service>`.")
    reader: ReaderSection | None = Field(
        default=None, description="Who reads its statistics; default: `user`. See docs/metrics.md."
    )

    @property
    def mode(self) -> str:
        """`sslmode`, its default told."""
        return self.sslmode or _default_mode(self.host)

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        _check_encrypted(self.mode, self.host)
        return self

    @model_validator(mode="after")
    def _slot_of_wal(self) -> Self:
        if self.slot is not None and not self.wal:
            raise _refusal("slot", "the slot is of no use without WAL", "Add `wal: true`, or remove `slot`")
        return self


class S3Section(Section):
    """Where `destination` is `s3://…`. What is left out is taken from the surroundings, as AWS' own tools do (a role, variables)."""

    endpoint: Endpoint | None = Field(default=None, description="Of what isn't AWS, such as `https://minio.example`.")
    region: Text | None = Field(default=None, description="The bucket's region.")
    access_key_id: SecretReference | None = Field(default=None, description="Default: from the surroundings.")
    secret_access_key: SecretReference | None = Field(default=None, description="Default: from the surroundings.")

    @model_validator(mode="after")
    def _both_keys(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            remedy = "Write access_key_id and secret_access_key, or neither"
            raise _refusal("s3_keys", "one half of the keys is missing", remedy)
        return self


class BackupsSection(Section):
    destination: Place = Field(
        description="Where backups are kept: a folder, or `s3://bucket/prefix`, `gs://bucket/prefix`, `az://account/container/prefix`."
    )
    s3: S3Section | None = Field(default=None, description="Address and keys of an `s3://` destination.")
    recipients: list[Recipient] = Field(
        default_factory=list,
        description="age public keys that can decrypt the backups, one or more; default: `FORGE_BACKUP_RECIPIENTS`.",
        json_schema_extra={"uniqueItems": True},
    )
    identity: SecretReference | None = Field(
        default=None,
        description="The age private key, only where restores and drills run; default: `FORGE_BACKUP_IDENTITY`, a file's path or the key.",
    )
    scratch: Folder | None = Field(
        default=None,
        description="Where restores work: a folder of forge's own with room for a decrypted backup and its restored database, wiped "
        "afterwards; default: `scratch` in the data folder.",
    )

    @model_validator(mode="after")
    def _s3_of_s3(self) -> Self:
        if self.s3 is not None and not self.destination.startswith("s3://"):
            raise _refusal("s3", "the destination is not in S3", "Write s3://bucket/prefix, or remove `s3`")
        return self


class RestoreServerSection(Section):
    """A server that people provide for restores, apart from the one that runs. forge makes and drops databases of its own there."""

    host: Host = Field(description="The server's name or address, as the cluster's Jobs reach it too.")
    port: PortNumber = Field(default=5432, description="The server's port.")
    database: DatabaseName = Field(
        default="postgres", description="A database that is there anyway, to connect to; nothing is changed in it."
    )
    user: RoleName = Field(description="Who restores: CREATEDB at the least; see docs/backups.md.")
    password: SecretReference | None = Field(default=None, description="Its password.")
    sslmode: SslMode | None = Field(default=None, description="As of `databases`.")
    sslrootcert: Text | None = Field(default=None, description="As of `databases`.")
    create_roles: bool = Field(
        default=True,
        description="Whether owners and grantees that are not there are made, without the right to log in; else such a backup is refused.",
    )

    @property
    def mode(self) -> str:
        """`sslmode`, its default told."""
        return self.sslmode or _default_mode(self.host)

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        _check_encrypted(self.mode, self.host)
        return self

    @model_validator(mode="after")
    def _reached_by_others(self) -> Self:
        if self.host.startswith("/"):
            cause = "nobody else reaches a Unix socket of this machine: that is what forge does by itself"
            raise _refusal("socket", cause, "Write the server's name or address, or remove this section")
        return self


class RestoreClusterSection(Section):
    """A server for each restore, made in the environment's namespace from a template, and removed with it. Needs `deploy/restores.yaml`."""

    template: Folder = Field(
        description="File with the manifests: one StatefulSet or Deployment, its Service and what they need; see docs/backups.md."
    )
    host: (
        Annotated[
            str,
            form(
                r"^[A-Za-z0-9.$-]*\$NAME[A-Za-z0-9.-]*$",
                "the Service's name with `$NAME`, as a host",
                "$NAME.shop.svc.cluster.local",
            ),
        ]
        | None
    ) = Field(
        default=None, description="The Service's address as forge and Jobs reach it; default: `$NAME.<namespace>.svc`."
    )
    port: PortNumber = Field(default=5432, description="The Service's port.")
    user: RoleName = Field(default="postgres", description="The server's superuser, whose password is in the Secret.")
    database: DatabaseName = Field(default="postgres", description="A database that the image makes.")
    sslmode: Literal["require", "verify-ca", "verify-full"] = Field(
        default="verify-full", description="The template's server has to speak TLS."
    )
    sslrootcert: Text | None = Field(default=None, description="As of `databases`.")
    ready: Duration = Field(default=300.0, description="Until its pod is ready, at most.")


class RestoresSection(Section):
    """Exactly one of both."""

    server: RestoreServerSection | None = Field(default=None, description="A server that people provide.")
    kubernetes: RestoreClusterSection | None = Field(
        default=None, description="A server for each restore, from a template."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.server is None) == (self.kubernetes is None):
            raise _refusal("restores", "it takes a server or a template", "Write `server` or `kubernetes`")
        return self


class Postgres(Section):
    programs: list[Folder] = Field(
        default_factory=list,
        description="Folders with PostgreSQL's programs of several versions, looked through before `PATH` and "
        "`/usr/lib/postgresql/*/bin`.",
    )
    databases: dict[Environment, dict[Name, DatabaseSection]] = Field(
        default_factory=dict, description="Environment → service → its database."
    )
    restores: dict[Environment, RestoresSection] = Field(
        default_factory=dict,
        description="Environment → where its restored databases stand, so that others than forge reach them; default: on forge's own "
        "machine. Drills are always there.",
    )
    backups: BackupsSection | None = Field(
        default=None, description="Where backups go. Without it none are made, and databases are only measured."
    )
