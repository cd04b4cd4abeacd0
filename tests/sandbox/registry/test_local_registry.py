"""What a client sees of the registry stand-in over HTTP."""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sandbox.faults import Fault
from sandbox.registry import LocalRegistry
from sandbox.registry.access import Access
from sandbox.registry.images import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

EVERY = {"Accept": ", ".join([OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST])}


@pytest.fixture
async def registry() -> AsyncIterator[LocalRegistry]:
    served = LocalRegistry({"forge": "secret"})
    await served.start()
    yield served
    await served.stop()


@pytest.fixture
async def client(registry: LocalRegistry) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(registry.url) as session:
        yield session


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(user, password)}


async def token(
    client: aiohttp.ClientSession, path: str, user: str = "forge", password: str = "secret"
) -> dict[str, str]:
    """Follow the challenge of `path` as a client does; the headers to come back with."""
    async with client.get(path) as challenged:
        assert challenged.status == 401
        found = dict(re.findall(r'(\w+)="([^"]*)"', challenged.headers["WWW-Authenticate"]))
    credentials = basic(user, password) if user else {}
    asked = {"service": found["service"], "scope": found.get("scope", "")}
    async with client.get(found["realm"], params=asked, headers=credentials) as answer:
        assert answer.status == 200, await answer.text()
        return EVERY | {"Authorization": f"Bearer {(await answer.json())['token']}"}


async def code(response: aiohttp.ClientResponse) -> str:
    body: Any = await response.json()
    return str(body["errors"][0]["code"])


async def test_a_tag_becomes_the_digest_of_the_manifests_bytes(
    registry: LocalRegistry, client: aiohttp.ClientSession
) -> None:
    digest = registry.push("acme/web", "v1.4.0-rc.1", version="1.4.0-rc.1")
    path = "/v2/acme/web/manifests/v1.4.0-rc.1"
    headers = await token(client, path)
    async with client.head(path, headers=headers) as head:
        assert (head.status, head.headers["Docker-Content-Digest"]) == (200, digest)
        assert head.headers["Content-Type"] == OCI_MANIFEST
        length = int(head.headers["Content-Length"])
    async with client.get(path, headers=headers) as whole:
        body = await whole.read()
    assert (f"sha256:{hashlib.sha256(body).hexdigest()}", len(body)) == (digest, length)
    async with client.get(f"/v2/acme/web/manifests/{digest}", headers=headers) as by_digest:
        assert await by_digest.read() == body
    config = json.loads(body)["config"]
    async with client.get(f"/v2/acme/web/blobs/{config['digest']}", headers=headers) as blob:
        image = await blob.read()
    assert len(image) == config["size"]
    assert json.loads(image)["config"]["Labels"]["org.opencontainers.image.version"] == "1.4.0-rc.1"


async def test_the_challenge_names_realm_service_and_scope(
    registry: LocalRegistry, client: aiohttp.ClientSession
) -> None:
    async with client.get("/v2/") as base:
        assert (base.status, base.headers["Docker-Distribution-Api-Version"]) == (401, "registry/2.0")
        assert base.headers["WWW-Authenticate"] == f'Bearer realm="{registry.url}/token",service="registry.local"'
    async with client.get("/v2/acme/web/tags/list") as tags:
        assert tags.headers["WWW-Authenticate"].endswith(',scope="repository:acme/web:pull"')
        assert await code(tags) == "UNAUTHORIZED"
    async with client.get("/v2/", headers=await token(client, "/v2/")) as opened:
        assert opened.status == 200


async def test_wrong_credentials_and_old_tokens_are_refused(
    registry: LocalRegistry, client: aiohttp.ClientSession
) -> None:
    registry.push("acme/web", "1")
    async with client.get("/token", headers=basic("forge", "wrong")) as refused:
        assert (refused.status, await code(refused)) == (401, "UNAUTHORIZED")
    headers = await token(client, "/v2/acme/web/tags/list")
    registry.access.revoke_all()
    async with client.get("/v2/acme/web/tags/list", headers=headers) as old:
        assert old.status == 401
        assert 'error="invalid_token"' in old.headers["WWW-Authenticate"]


async def test_a_token_opens_only_what_it_was_asked_for(registry: LocalRegistry, client: aiohttp.ClientSession) -> None:
    registry.push("acme/web", "1")
    registry.push("acme/catalog", "1")
    headers = await token(client, "/v2/acme/web/tags/list")
    async with client.get("/v2/acme/catalog/tags/list", headers=headers) as other:
        assert other.status == 401
        assert 'error="insufficient_scope"' in other.headers["WWW-Authenticate"]


async def test_anonymous_reads_the_public_and_is_denied_the_rest(client: aiohttp.ClientSession) -> None:
    registry = LocalRegistry(
        access=Access(users={"ci": "x"}, public=("open/*",), readable={"ci": ("acme/web",)}), service="ghcr"
    )
    registry.push("open/base", "1")
    registry.push("acme/web", "1")
    registry.push("acme/vault", "1")
    await registry.start()
    try:
        async with aiohttp.ClientSession(registry.url) as own:
            for name, user, status in [
                ("open/base", "", 200),
                ("acme/web", "", 403),
                ("acme/web", "ci", 200),
                ("acme/vault", "ci", 403),
            ]:
                path = f"/v2/{name}/manifests/1"
                async with own.get(path, headers=await token(own, path, user, "x")) as answer:
                    assert answer.status == status
                    assert status == 200 or await code(answer) == "DENIED"
    finally:
        await registry.stop()


async def test_basic_registries_and_open_ones_need_no_token() -> None:
    for mode, credentials in (("basic", basic("u", "p")), ("none", {})):
        registry = LocalRegistry(access=Access(mode=mode, users={"u": "p"}))  # type: ignore[arg-type]
        registry.push("acme/web", "1")
        await registry.start()
        try:
            async with aiohttp.ClientSession(registry.url) as own:
                async with own.get("/v2/acme/web/manifests/1", headers=EVERY | credentials) as answer:
                    assert answer.status == 200
                async with own.get("/v2/acme/web/manifests/1", headers=EVERY) as bare:
                    assert bare.status == (401 if mode == "basic" else 200)
                    assert mode == "none" or bare.headers["WWW-Authenticate"].startswith("Basic realm=")
        finally:
            await registry.stop()


@pytest.mark.parametrize(
    ("form", "media_type"),
    [("manifest", OCI_MANIFEST), ("index", OCI_INDEX), ("docker", DOCKER_MANIFEST), ("docker-list", DOCKER_LIST)],
)
async def test_each_form_has_its_media_type_and_wants_to_be_asked_for(
    registry: LocalRegistry, client: aiohttp.ClientSession, form: Any, media_type: str
) -> None:
    digest = registry.push("acme/web", "1", form=form)
    path = "/v2/acme/web/manifests/1"
    headers = await token(client, path)
    async with client.head(path, headers=headers | {"Accept": media_type}) as answer:
        assert (answer.status, answer.content_type) == (200, media_type)
        assert answer.headers["Docker-Content-Digest"] == digest
    async with client.get(path, headers=headers | {"Accept": "*/*"}) as unasked:
        assert unasked.status == (200 if form == "docker" else 404)
        assert form == "docker" or "accept header does not support" in await unasked.text()


async def test_unknown_names_tags_and_blobs_are_told_apart(
    registry: LocalRegistry, client: aiohttp.ClientSession
) -> None:
    registry.push("acme/web", "1")
    headers = await token(client, "/v2/acme/web/tags/list")
    for path, expected in [
        ("/v2/acme/web/manifests/2", "MANIFEST_UNKNOWN"),
        (f"/v2/acme/web/manifests/sha256:{'0' * 64}", "MANIFEST_UNKNOWN"),
        (f"/v2/acme/web/blobs/sha256:{'0' * 64}", "BLOB_UNKNOWN"),
    ]:
        async with client.get(path, headers=headers) as answer:
            assert (answer.status, await code(answer)) == (404, expected)
    path = "/v2/acme/none/manifests/1"
    async with client.get(path, headers=await token(client, path)) as answer:
        assert (answer.status, await code(answer)) == (404, "NAME_UNKNOWN")


async def test_tags_are_listed_in_pages_moved_and_deleted(
    registry: LocalRegistry, client: aiohttp.ClientSession
) -> None:
    digests = [registry.push("acme/web", tag) for tag in ("a", "b", "c")]
    path = "/v2/acme/web/tags/list"
    headers = await token(client, path)
    async with client.get(f"{path}?n=2", headers=headers) as first:
        assert (await first.json())["tags"] == ["a", "b"]
        following = str(first.links["next"]["url"])
    async with client.get(following, headers=headers) as second:
        assert await second.json() == {"name": "acme/web", "tags": ["c"]}
    registry.move_tag("acme/web", "a", digests[1])
    assert registry.digest("acme/web", "a") == digests[1] != digests[0]
    registry.delete("acme/web", digests[1])
    assert list(registry.repositories["acme/web"].tags) == ["c"]
    assert registry.has(f"{registry.host}/acme/web:c")
    assert registry.has(f"{registry.host}/acme/web:gone@{digests[2]}")
    assert not registry.has(f"{registry.host}/acme/web:a")


async def test_the_same_build_has_the_same_digest(registry: LocalRegistry) -> None:
    first = registry.push("acme/web", "a", version="1", config={"Labels": {"rev": "x"}})
    assert registry.push("acme/web", "b", version="1", config={"Labels": {"rev": "x"}}) == first
    assert registry.push("acme/web", "c", version="2", config={"Labels": {"rev": "x"}}) != first


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, "UNAUTHORIZED"), (403, "DENIED"), (404, "MANIFEST_UNKNOWN"), (429, "TOOMANYREQUESTS"), (500, "UNKNOWN")],
)
async def test_a_bare_fault_has_the_registrys_body(
    registry: LocalRegistry, client: aiohttp.ClientSession, status: int, expected: str
) -> None:
    registry.faults.add(Fault(status=status, path="/manifests/"))
    async with client.get("/v2/acme/web/manifests/1") as answer:
        assert (answer.status, await code(answer)) == (status, expected)
        assert ("Retry-After" in answer.headers) == (status == 429)
    assert registry.requests[-1].status == status
