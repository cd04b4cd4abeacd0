"""Where a cluster is and who asks it: a kubeconfig's context, the pod's own account, or an address with a token.

The client library is imported here and only when a cluster is first asked: who never asks one needs none of it.
No credential is ever part of a `repr` or an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from integrations.http_calls import proxy_for
from integrations.kubernetes import library
from runbook.errors import Permanent

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, Configuration


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """path: None for `~/.kube/config`. context: empty for the file's current one."""

    path: Path | None = None
    context: str = ""

    def __str__(self) -> str:
        return f"the context {self.context or '(current)'} of {self.path or '~/.kube/config'}"


@dataclass(frozen=True, slots=True)
class InCluster:
    """The service account of the pod that forge runs in."""

    def __str__(self) -> str:
        return "the service account of forge's pod"


@dataclass(frozen=True, slots=True)
class Direct:
    """An API server by its address. token: gives the bearer token, asked again before each call; None for none."""

    host: str
    token: Callable[[], str] | None = field(default=None, repr=False)
    ca_file: Path | None = None

    def __str__(self) -> str:
        return f"the token for {self.host}"


Credentials = Kubeconfig | InCluster | Direct


def kubectl_options(credentials: Credentials) -> tuple[str, ...]:
    """The options that lead `kubectl` to the same cluster; a person brings credentials of their own."""
    match credentials:
        case Kubeconfig(path=path, context=context):
            where = ("--kubeconfig", str(path)) if path is not None else ()
            return (*where, "--context", context) if context else where
        case Direct(host=host):
            return ("--server", host)
        case InCluster():
            return ()


async def open_client(credentials: Credentials) -> ApiClient:
    """A client of its own for these credentials; the caller closes it. Raises Permanent("kubernetes.credentials")."""
    # Off the loop: while the library is imported for the first time nothing else could be answered.
    await asyncio.to_thread(library.load)
    from kubernetes_asyncio.client import ApiClient, Configuration

    configuration = type.__call__(Configuration)  # a new one, not a copy of the process-wide default
    match credentials:
        case Direct():
            _direct(configuration, credentials)
        case InCluster():
            _in_cluster(configuration)
        case Kubeconfig():
            await _kubeconfig(configuration, credentials)
    configuration.proxy = configuration.proxy or proxy_for(configuration.host)
    try:
        client = ApiClient(configuration=configuration)
    except OSError as error:  # ssl.SSLError too: files of certificates that are missing or hold none
        remedy = "Correct the paths of the certificate authority and the client certificate"
        cause = f"the certificates of {credentials} can't be read"
        raise Permanent("kubernetes", "credentials", cause, remedy) from error
    _distrust_environment(client)
    return client


def _distrust_environment(client: ApiClient) -> None:
    """Gives the client a session that leaves `~/.netrc` alone: a login found there would clash with the cluster's token."""
    rest: Any = client.rest_client
    theirs: aiohttp.ClientSession = rest.pool_manager
    rest.pool_manager = aiohttp.ClientSession(
        connector=theirs.connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=2**21
    )
    theirs.detach()


def _direct(configuration: Configuration, credentials: Direct) -> None:
    configuration.host = credentials.host.rstrip("/")
    if credentials.ca_file is not None:
        configuration.ssl_ca_cert = str(credentials.ca_file)
    token = credentials.token
    if token is not None:

        def read_token(target: Configuration) -> None:
            target.api_key["BearerToken"] = f"Bearer {token()}"

        read_token(configuration)
        configuration.refresh_api_key_hook = read_token


def _in_cluster(configuration: Configuration) -> None:
    from kubernetes_asyncio.config import ConfigException, load_incluster_config

    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        remedy = "Run forge in a pod with automountServiceAccountToken, or configure a kubeconfig for this environment"
        raise Permanent(
            "kubernetes", "credentials", "forge doesn't run in a pod with a service account", remedy
        ) from error


async def _kubeconfig(configuration: Configuration, credentials: Kubeconfig) -> None:
    from kubernetes_asyncio.config import ConfigException, load_kube_config

    try:
        await load_kube_config(
            config_file=str(credentials.path) if credentials.path else None,
            context=credentials.context or None,
            client_configuration=configuration,
            persist_config=False,  # the file is the user's
        )
    except Exception as error:  # noqa: BLE001 - the library's loader and its plugins raise what they like
        remedy = (
            "Try `kubectl --context … get deployments` with the same file, and correct the path or the context's name"
        )
        reason = str(error) if isinstance(error, ConfigException) else type(error).__name__
        cause = f"{credentials} can't be used ({reason[:300]})"
        raise Permanent("kubernetes", "credentials", cause, remedy) from None
