"""Where the outside systems are and which secrets open them: frozen, and without a secret's value until it is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from runbook.errors import Permanent
from runbook.values import Environment


@dataclass(frozen=True, slots=True)
class Secret:
    """A reference to a secret: exactly one of env (a variable's name) and file. Read anew each time, because secrets are rotated."""

    env: str = ""
    file: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False, compare=False)

    def __str__(self) -> str:
        return f"the variable {self.env}" if self.env else f"the file {self.file}"

    @property
    def is_set(self) -> bool:
        if self.file is None:
            return bool(self.environ.get(self.env, "").strip())
        try:
            return self.file.stat().st_size > 0
        except OSError:
            return False

    def read(self) -> SecretStr:
        """Without white space around it. Raises Permanent("configuration.no_secret") when it is missing or empty."""
        if self.file is None:
            value = self.environ.get(self.env, "")
        else:
            try:
                value = self.file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                value = ""
        if not value.strip():
            remedy = f"Set {self.env}" if self.env else f"Write the secret to {self.file}, readable for forge alone"
            raise Permanent("configuration", "no_secret", f"{self} has no value", remedy)
        return SecretStr(value.strip())

    def reveal(self) -> str:
        """The value itself, for the call that needs it and for nothing else."""
        return self.read().get_secret_value()


@dataclass(frozen=True, slots=True)
class SlackConnection:
    """channel: id of the release channel. team: id of the one workspace whose members may act. incident_channel: empty: the same."""

    channel: str
    team: str
    bot_token: Secret
    app_token: Secret
    signing_secret: Secret
    mode: Literal["socket", "http"]
    api_url: str
    incident_channel: str = ""

    @property
    def incidents(self) -> str:
        """The id of the channel in which incidents are told."""
        return self.incident_channel or self.channel


@dataclass(frozen=True, slots=True)
class ClusterConnection:
    """One environment's cluster: host with token, or the pod's own account, or a kubeconfig's context."""

    namespace: str
    context: str = ""
    kubeconfig: Path | None = None
    in_cluster: bool = False
    host: str = ""
    token: Secret | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What a workload of dev may use. max_cpu: cores of one pod. max_memory: bytes of one pod."""

    max_replicas: int
    max_cpu: float
    max_memory: float


@dataclass(frozen=True, slots=True)
class DevBounds:
    """What dev must keep to; `forge doctor` looks. shared_secrets: may be named by dev and production. production_hosts: beside the
    configured databases of production."""

    profile: Profile | None = None
    shared_secrets: tuple[str, ...] = ()
    production_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrometheusConnection:
    url: str
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class GithubConnection:
    """web_url: empty to derive it from the API's. token: None to ask anonymously."""

    api_url: str
    web_url: str = ""
    token: Secret | None = None
    webhook_secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class PagerdutyConnection:
    """schedule: its id."""

    schedule: str
    token: Secret
    api_url: str


@dataclass(frozen=True, slots=True)
class RegistryConnection:
    docker_config: Path | None = None
    insecure_hosts: tuple[str, ...] = ()
    trusted_realms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signers:
    """ssh: (principal, public key line). gpg: files with armoured public keys."""

    ssh: tuple[tuple[str, str], ...] = ()
    gpg: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerAddress:
    host: str = "127.0.0.1"
    port: int = 8080


@dataclass(frozen=True, slots=True)
class AuditConnection:
    """key: the Ed25519 private key (PEM). checkpoints: directories that take signed checkpoints; best where the bot can't rewrite.
    earlier_keys: public keys that signed before this one: files with PEM, or PEM itself."""

    key: Secret
    checkpoints: tuple[Path, ...] = ()
    earlier_keys: tuple[Path | str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatabaseReader:
    """Who reads a database's statistics. password: None where the server knows forge otherwise."""

    user: str
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class DatabaseConnection:
    """One service's database in one environment. host: a path is the folder of a Unix socket. sslmode: `require` or more, but on this
    machine. sslrootcert: None for libpq's own file. slot: of its WAL, empty where `wal` is false."""

    service: str
    environment: Environment
    host: str
    port: int
    name: str
    user: str
    password: Secret | None
    sslmode: str
    sslrootcert: Path | None = None
    wal: bool = False
    slot: str = ""
    reader: DatabaseReader | None = None

    @property
    def where(self) -> str:
        """Its address for people, without any secret: `db.example:5432/shop`."""
        return f"{self.host}:{self.port}/{self.name}"


@dataclass(frozen=True, slots=True)
class S3Connection:
    """Empty, None: taken from the surroundings, as AWS' own tools do."""

    endpoint: str = ""
    region: str = ""
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None


@dataclass(frozen=True, slots=True)
class BackupsConnection:
    """destination: an absolute path, or `s3://`, `gs://`, `az://`. recipients: age public keys, at least one. identity: the age private
    key, None where neither restores nor drills run. scratch: forge's own, and never within the destination."""

    destination: str
    recipients: tuple[str, ...]
    scratch: Path
    identity: Secret | None = None
    s3: S3Connection = field(default_factory=S3Connection)

    @property
    def folder(self) -> Path | None:
        """The destination, where it is one of this machine."""
        return None if "://" in self.destination else Path(self.destination)


@dataclass(frozen=True, slots=True)
class RestoreServer:
    """Where an environment's restored databases stand. database: one that is there anyway. create_roles: make roles that are missing."""

    environment: Environment
    host: str
    port: int
    database: str
    user: str
    password: Secret | None
    sslmode: str
    sslrootcert: Path | None = None
    create_roles: bool = True

    @property
    def where(self) -> str:
        """Its address for people, without any secret."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RestoreCluster:
    """Where each restore of an environment gets a server of its own. template: of its manifests. host: with `$NAME`. ready_s: at most."""

    environment: Environment
    template: Path
    host: str
    port: int
    user: str
    database: str
    sslmode: str
    sslrootcert: Path | None
    ready_s: float


@dataclass(frozen=True, slots=True)
class PostgresConnections:
    """databases: by (service, environment). programs: folders that are looked through before `PATH` and Debian's. backups: None: none are made.
    restores: by the environment that is restored."""

    databases: Mapping[tuple[str, Environment], DatabaseConnection] = field(default_factory=dict)
    programs: tuple[Path, ...] = ()
    backups: BackupsConnection | None = None
    restores: Mapping[Environment, RestoreServer | RestoreCluster] = field(default_factory=dict)

    @property
    def secrets(self) -> Mapping[str, Secret]:
        """All that are referred to, by key path."""
        found: dict[str, Secret | None] = {}
        for (service, env), database in self.databases.items():
            place = f"integrations.postgres.databases.{env}.{service}"
            found[f"{place}.password"] = database.password
            found[f"{place}.reader.password"] = database.reader.password if database.reader is not None else None
        for env, server in self.restores.items():
            if isinstance(server, RestoreServer):
                found[f"integrations.postgres.restores.{env}.server.password"] = server.password
        if self.backups is not None:
            place = "integrations.postgres.backups"
            found[f"{place}.identity"] = self.backups.identity
            found[f"{place}.s3.access_key_id"] = self.backups.s3.access_key_id
            found[f"{place}.s3.secret_access_key"] = self.backups.s3.secret_access_key
        return {path: secret for path, secret in found.items() if secret is not None}


@dataclass(frozen=True)
class Connections:
    """Everything that is an address or a secret. database_url: never shown, it may carry a password.

    ci_token: what CI systems show to `/webhooks/ci`; None: it takes nothing. scan_folder: where scanners drop reports.
    """

    slack: SlackConnection
    clusters: Mapping[Environment, ClusterConnection]
    prometheus: Mapping[Environment, PrometheusConnection]
    github: GithubConnection
    registry: RegistryConnection
    signers: Signers
    server: ServerAddress
    audit: AuditConnection
    service_secrets: Mapping[str, Mapping[str, Secret]]
    data_dir: Path
    database_url: str = field(repr=False)
    ci_token: Secret | None = None
    scan_folder: Path | None = None
    pagerduty: PagerdutyConnection | None = None
    postgres: PostgresConnections = field(default_factory=PostgresConnections)
    dev: DevBounds = field(default_factory=DevBounds)

    @property
    def socket_path(self) -> Path:
        """Where the command line reaches the running bot."""
        return self.data_dir / "forge.sock"

    @property
    def needed_secrets(self) -> Mapping[str, Secret]:
        """What the bot can't start without, by key path."""
        slack = self.slack
        second = (
            {"slack.app_token": slack.app_token}
            if slack.mode == "socket"
            else {"slack.signing_secret": slack.signing_secret}
        )
        return {"slack.bot_token": slack.bot_token, **second, "audit.key": self.audit.key}

    @property
    def secrets(self) -> Mapping[str, Secret]:
        """All of them, by key path: for redaction and for the doctor."""
        found = dict(self.needed_secrets)
        for env, cluster in self.clusters.items():
            if cluster.token is not None:
                found[f"environments.{env}.kubernetes.token"] = cluster.token
        for env, prometheus in self.prometheus.items():
            if prometheus.token is not None:
                found[f"environments.{env}.prometheus.token"] = prometheus.token
        if self.github.token is not None:
            found["integrations.github.token"] = self.github.token
        if self.github.webhook_secret is not None:
            found["integrations.github.webhook_secret"] = self.github.webhook_secret
        if self.ci_token is not None:
            found["integrations.ci.token"] = self.ci_token
        if self.pagerduty is not None:
            found["integrations.pagerduty.token"] = self.pagerduty.token
        found |= self.postgres.secrets
        for service, secrets in self.service_secrets.items():
            found |= {f"services.{service}.secrets.{name}": secret for name, secret in secrets.items()}
        return found

    def service_token(self, service: str, name: str) -> str:
        """For the HTTP probes. Raises KeyError where none is configured, Permanent where it has no value."""
        return self.service_secrets[service][name].reveal()
