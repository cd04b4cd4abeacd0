"""The registry integration against the registry stand-in: digests, the token flow, credentials, refusals."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from integrations.http_calls import Limits
from integrations.registry import OciRegistry
from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from sandbox.faults import Fault
from sandbox.registry import LocalRegistry
from sandbox.registry.access import Access
from sandbox.registry.images import Form
from tests.integrations.waiting import as_if_waited

QUICK = Limits(timeout_s=15.0, attempts=3, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)
PASSWORD = "a-password-nobody-may-see"


@pytest.fixture
async def started() -> AsyncIterator[Callable[..., Any]]:
    running: list[LocalRegistry] = []

    async def start(**options: Any) -> LocalRegistry:
        registry = LocalRegistry(**options)
        await registry.start()
        running.append(registry)
        return registry

    yield start
    for registry in running:
        await registry.stop()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[OciRegistry]:
    registry = OciRegistry(docker_config=tmp_path / "config.json", limits=QUICK)
    yield registry
    await registry.aclose()


def log_in(folder: Path, host: str, user: str, password: str) -> None:
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


async def refusal(call: Any) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("form", ["manifest", "index", "docker", "docker-list"])
async def test_a_tag_becomes_the_digest_of_its_manifest_or_index(started: Any, client: OciRegistry, form: Form) -> None:
    registry = await started()
    digest = registry.push("acme/web", "v1.0.0", form=form)
    assert await client.digest(f"{registry.host}/acme/web", "v1.0.0") == digest


async def test_a_moved_tag_has_another_digest(started: Any, client: OciRegistry) -> None:
    registry = await started()
    registry.push("acme/web", "v1")
    second = registry.push("acme/web", "v2")
    registry.move_tag("acme/web", "v1", second)
    assert await client.digest(f"{registry.host}/acme/web", "v1") == second


async def test_an_unknown_tag_or_repository_is_none(started: Any, client: OciRegistry) -> None:
    registry = await started()
    registry.push("acme/web", "v1")
    assert await client.digest(f"{registry.host}/acme/web", "v9") is None
    assert await client.digest(f"{registry.host}/acme/nothing", "v1") is None


async def test_a_token_is_asked_for_once_and_used_until_it_ends(started: Any, client: OciRegistry) -> None:
    registry = await started()
    registry.push("acme/web", "v1")
    for _ in range(3):
        await client.digest(f"{registry.host}/acme/web", "v1")
    assert [asked.path for asked in registry.requests].count("/token") == 1


async def test_a_revoked_token_is_replaced(started: Any, client: OciRegistry) -> None:
    registry = await started()
    digest = registry.push("acme/web", "v1")
    await client.digest(f"{registry.host}/acme/web", "v1")
    registry.access.revoke_all()
    assert await client.digest(f"{registry.host}/acme/web", "v1") == digest


@pytest.mark.parametrize("mode", ["token", "basic", "none"])
async def test_every_way_to_log_in_is_known(started: Any, client: OciRegistry, tmp_path: Path, mode: Any) -> None:
    registry = await started(access=Access(mode=mode, users={"ada": PASSWORD}))
    digest = registry.push("acme/web", "v1")
    log_in(tmp_path, registry.host, "ada", PASSWORD)
    assert await client.digest(f"{registry.host}/acme/web", "v1") == digest


@pytest.mark.parametrize("mode", ["token", "basic"])
async def test_without_a_login_the_remedy_is_docker_login(started: Any, client: OciRegistry, mode: Any) -> None:
    registry = await started(access=Access(mode=mode, users={"ada": PASSWORD}))
    registry.push("acme/web", "v1")
    error = await refusal(client.digest(f"{registry.host}/acme/web", "v1"))
    assert isinstance(error, Permanent)
    assert error.code in ("registry.unauthorized", "registry.forbidden")
    assert "config.json" in error.remedy


@pytest.mark.parametrize("mode", ["token", "basic"])
async def test_a_wrong_password_is_told_without_showing_it(
    started: Any, client: OciRegistry, tmp_path: Path, mode: Any
) -> None:
    registry = await started(access=Access(mode=mode, users={"ada": "right"}))
    registry.push("acme/web", "v1")
    log_in(tmp_path, registry.host, "ada", PASSWORD)
    error = await refusal(client.digest(f"{registry.host}/acme/web", "v1"))
    assert error.code == "registry.unauthorized"
    encoded = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    shown = f"{error!r} {error} {vars(error)} {client!r} {error.__cause__!r}"
    assert PASSWORD not in shown
    assert encoded not in shown


async def test_an_account_without_the_right_is_forbidden(started: Any, client: OciRegistry, tmp_path: Path) -> None:
    access = Access(mode="basic", users={"ada": PASSWORD}, readable={"ada": ("other/*",)})
    registry = await started(access=access)
    registry.push("acme/web", "v1")
    log_in(tmp_path, registry.host, "ada", PASSWORD)
    error = await refusal(client.digest(f"{registry.host}/acme/web", "v1"))
    assert error.code == "registry.forbidden"
    assert "pull acme/web" in error.remedy


async def test_a_credential_helper_is_asked_for_the_host(
    started: Any, client: OciRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = await started(access=Access(mode="basic", users={"ada": PASSWORD}))
    digest = registry.push("acme/web", "v1")
    answer = json.dumps({"ServerURL": registry.host, "Username": "ada", "Secret": PASSWORD})
    script = f"#!/bin/sh\nread server\n[ \"$1 $server\" = 'get {registry.host}' ] && echo '{answer}'\n"
    helper = tmp_path / "docker-credential-vault"
    helper.write_text(script)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {registry.host: "vault"}}))
    assert await client.digest(f"{registry.host}/acme/web", "v1") == digest


async def test_a_helper_without_a_login_leaves_the_question_anonymous(
    started: Any, client: OciRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = await started()
    digest = registry.push("acme/web", "v1")
    helper = tmp_path / "docker-credential-empty"
    helper.write_text("#!/bin/sh\necho 'credentials not found in native keychain'; exit 1\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "empty"}))
    assert await client.digest(f"{registry.host}/acme/web", "v1") == digest


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ('{"credsStore": "not-installed-anywhere"}', "registry.no_program"),
        ('{"credsStore": "../evil"}', "registry.credentials"),
        ("no JSON", "registry.credentials"),
    ],
)
async def test_credentials_that_cannot_be_read_are_an_error_and_not_anonymous(
    started: Any, client: OciRegistry, tmp_path: Path, settings: str, code: str
) -> None:
    registry = await started()
    registry.push("acme/web", "v1")
    (tmp_path / "config.json").write_text(settings)
    error = await refusal(client.digest(f"{registry.host}/acme/web", "v1"))
    assert isinstance(error, Permanent)
    assert error.code == code


async def test_without_the_digest_header_the_manifest_itself_is_hashed(started: Any, client: OciRegistry) -> None:
    registry = await started(access=Access(mode="none"))
    digest = registry.push("acme/web", "v1")
    registry.faults.add(Fault(method="HEAD", status=405))
    assert await client.digest(f"{registry.host}/acme/web", "v1") == digest
    assert registry.requests[-1].method == "GET"


@pytest.mark.parametrize("header", ["sha512:" + "0" * 128, "latest", "sha256:short", ""])
async def test_a_digest_that_is_none_is_refused(started: Any, client: OciRegistry, header: str) -> None:
    registry = await started(access=Access(mode="none"))
    registry.faults.add(Fault(status=200, headers={"Docker-Content-Digest": header}, body={"x": 1}, times=-1))
    assert (await refusal(client.digest(f"{registry.host}/acme/web", "v1"))).code == "registry.garbage"


async def test_a_manifest_that_is_garbage_is_refused(started: Any, client: OciRegistry) -> None:
    registry = await started(access=Access(mode="none"))
    registry.faults.add(Fault(kind="garbage", times=-1))
    assert (await refusal(client.digest(f"{registry.host}/acme/web", "v1"))).code == "registry.garbage"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, Permanent, "registry.unauthorized"),
        (403, Permanent, "registry.forbidden"),
        (409, Conflict, "registry.conflict"),
        (410, Temporary, "registry.gone"),
        (422, Permanent, "registry.invalid"),
        (429, Temporary, "registry.throttled"),
        (500, Temporary, "registry.server_error"),
        (503, Temporary, "registry.unavailable"),
    ],
)
async def test_each_status_is_its_own_error(
    started: Any, client: OciRegistry, status: int, kind: type[ForgeError], code: str
) -> None:
    registry = await started(access=Access(mode="none"))
    registry.push("acme/web", "v1")
    registry.faults.add(Fault(path="/manifests/", status=status, times=-1))
    error = await refusal(client.digest(f"{registry.host}/acme/web", "v1"))
    assert type(error) is kind
    assert error.code == code


async def test_a_404_fault_reads_as_no_such_tag(started: Any, client: OciRegistry) -> None:
    registry = await started(access=Access(mode="none"))
    registry.faults.add(Fault(status=404))
    assert await client.digest(f"{registry.host}/acme/web", "v1") is None


async def test_the_pull_limit_tells_how_long_to_wait(started: Any, client: OciRegistry) -> None:
    registry = await started(access=Access(mode="none"))
    registry.faults.add(Fault(status=429, headers={"Retry-After": "90"}, times=-1))
    error = await refusal(client.digest(f"{registry.host}/acme/web", "v1"))
    assert isinstance(error, Temporary)
    assert error.retry_after_s == 90
    assert len(registry.requests) == 1


@pytest.mark.parametrize(("kind", "code"), [("hang", "registry.timeout"), ("reset", "registry.connection_lost")])
async def test_no_answer_is_temporary_after_bounded_tries(started: Any, tmp_path: Path, kind: Any, code: str) -> None:
    registry = await started(access=Access(mode="none"))
    fault = registry.faults.add(Fault(kind=kind, times=-1))
    limits = Limits(timeout_s=10.0, attempts=2, deadline_s=40.0, first_wait_s=0.01)
    client = OciRegistry(docker_config=tmp_path / "config.json", limits=limits)
    asking = refusal(client.digest(f"{registry.host}/acme/web", "v1"))
    error = await as_if_waited(asking, lambda: fault.struck if kind == "hang" else 0, limits.timeout_s)
    await client.aclose()
    assert isinstance(error, Temporary)
    assert error.code == code
    # aiohttp itself repeats a HEAD once on a connection that broke before any byte of the answer
    assert 2 <= len(registry.requests) <= 4


async def test_one_failure_is_asked_again(started: Any, client: OciRegistry) -> None:
    registry = await started()
    digest = registry.push("acme/web", "v1")
    registry.faults.add(Fault(status=503))
    registry.faults.add(Fault(path="/token", status=500))
    assert await client.digest(f"{registry.host}/acme/web", "v1") == digest


async def test_a_token_server_that_answers_garbage_is_named(started: Any, client: OciRegistry) -> None:
    registry = await started()
    registry.push("acme/web", "v1")
    registry.faults.add(Fault(kind="garbage", path="/token", times=-1))
    error = await refusal(client.digest(f"{registry.host}/acme/web", "v1"))
    assert error.code == "registry.garbage"
    assert "token server" in error.cause


async def test_a_redirect_is_followed_without_the_login(started: Any, client: OciRegistry, tmp_path: Path) -> None:
    front = await started(access=Access(mode="none"))
    behind = await started(access=Access(mode="none"))
    digest = behind.push("acme/web", "v1")
    front.faults.add(Fault(status=307, headers={"Location": f"{behind.url}/v2/acme/web/manifests/v1"}))
    assert await client.digest(f"{front.host}/acme/web", "v1") == digest


async def test_a_redirect_to_plain_http_elsewhere_is_refused(started: Any, client: OciRegistry) -> None:
    registry = await started(access=Access(mode="none"))
    registry.faults.add(Fault(status=307, headers={"Location": "http://registry.example/v2/acme/web/manifests/v1"}))
    assert (await refusal(client.digest(f"{registry.host}/acme/web", "v1"))).code == "registry.insecure"


async def test_redirects_in_a_circle_end(started: Any, client: OciRegistry) -> None:
    registry = await started(access=Access(mode="none"))
    registry.faults.add(Fault(status=307, headers={"Location": "/v2/acme/web/manifests/v1"}, times=-1))
    assert (await refusal(client.digest(f"{registry.host}/acme/web", "v1"))).code == "registry.redirects"


@pytest.mark.parametrize(
    "realm", ["http://token.example/token", "ftp://127.0.0.1/token", "https://u:p@127.0.0.1/t", "nonsense"]
)
async def test_a_token_server_that_is_not_safe_is_never_asked(started: Any, client: OciRegistry, realm: str) -> None:
    registry = await started(access=Access(mode="none"))
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    registry.faults.add(Fault(status=401, headers=challenge, times=-1))
    assert (await refusal(client.digest(f"{registry.host}/acme/web", "v1"))).code in (
        "registry.realm",
        "registry.insecure",
    )


@pytest.mark.parametrize(
    ("name", "tag"), [("acme/../web", "v1"), ("Acme Web", "v1"), ("acme/web", "v1/../x"), ("", "v1")]
)
async def test_a_name_that_is_none_is_never_sent(started: Any, client: OciRegistry, name: str, tag: str) -> None:
    registry = await started()
    assert (await refusal(client.digest(f"{registry.host}/{name}", tag))).code == "registry.bad_name"
    assert registry.requests == []
