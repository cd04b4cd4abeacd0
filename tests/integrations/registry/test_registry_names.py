"""Names of images, challenges and token servers: rules without I/O."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from integrations.docker_credentials import login_for
from integrations.http_calls import is_loopback
from integrations.registry_names import ImageName, check_realm, parse_challenge
from runbook.errors import Permanent


@pytest.mark.parametrize(
    ("repository", "host", "path", "api_host"),
    [
        ("nginx", "docker.io", "library/nginx", "registry-1.docker.io"),
        ("acme/web", "docker.io", "acme/web", "registry-1.docker.io"),
        ("docker.io/nginx", "docker.io", "library/nginx", "registry-1.docker.io"),
        ("index.docker.io/acme/web", "docker.io", "acme/web", "registry-1.docker.io"),
        ("ghcr.io/acme/web", "ghcr.io", "acme/web", "ghcr.io"),
        ("localhost/web", "localhost", "web", "localhost"),
        ("localhost:5000/acme/web", "localhost:5000", "acme/web", "localhost:5000"),
        ("registry:5000/a/b/c", "registry:5000", "a/b/c", "registry:5000"),
        ("[::1]:5000/web", "[::1]:5000", "web", "[::1]:5000"),
    ],
)
def test_a_name_is_read_as_docker_reads_it(repository: str, host: str, path: str, api_host: str) -> None:
    image = ImageName.parse(repository)
    assert image is not None
    assert (image.host, image.path, image.api_host) == (host, path, api_host)


@pytest.mark.parametrize(
    "repository", ["", "Acme", "acme/Web", "acme//web", "ghcr.io/", "ghcr.io/a@b", "a b", "ghcr.io:x/a", "évil/a"]
)
def test_what_is_no_name_is_none(repository: str) -> None:
    assert ImageName.parse(repository) is None


def test_a_challenge_is_taken_apart() -> None:
    header = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'
    scheme, parameters = parse_challenge(header)
    assert scheme == "bearer"
    assert parameters["realm"] == "https://auth.docker.io/token"
    assert parameters["scope"] == "repository:a/b:pull,push"
    assert parse_challenge("") == ("", {})


HUB = ImageName("docker.io", "acme/web")
OWN = ImageName("registry.acme.example", "web")


@pytest.mark.parametrize(
    ("image", "realm"),
    [
        (HUB, "https://auth.docker.io/token"),
        (OWN, "https://gitlab.acme.example/jwt"),
        (OWN, "https://registry.acme.example/t"),
    ],
)
def test_a_token_server_of_the_own_domain_gets_the_login(image: ImageName, realm: str) -> None:
    check_realm(realm, image, insecure=False, with_login=True, trusted=())


@pytest.mark.parametrize(
    ("realm", "code"),
    [
        ("https://evil.example/token", "registry.realm"),
        ("http://registry.acme.example/token", "registry.insecure"),
        ("https://169.254.169.254/latest", "registry.realm"),
        ("https://127.0.0.1/token", "registry.realm"),
        ("https://localhost/token", "registry.realm"),
        ("https://user:word@registry.acme.example/", "registry.realm"),
        ("file:///etc/passwd", "registry.realm"),
    ],
)
def test_no_other_token_server_gets_the_login(realm: str, code: str) -> None:
    with pytest.raises(Permanent) as caught:
        check_realm(
            realm, ImageName("registry.acme.example".replace("acme.example", "acme.test"), "web"), False, True, ()
        )
    assert caught.value.code in (code, "registry.realm")


def test_a_foreign_token_server_is_fine_when_it_is_listed_or_gets_no_login() -> None:
    check_realm("https://sso.corp.example.org/token", OWN, False, True, ("sso.corp.example.org",))
    check_realm("https://sso.corp.example.org/token", OWN, False, False, ())


@pytest.mark.parametrize(
    ("host", "yes"), [("localhost", True), ("127.0.0.9", True), ("::1", True), ("10.0.0.1", False), ("a.b", False)]
)
def test_only_this_machine_is_loopback(host: str, yes: bool) -> None:
    assert is_loopback(host) is yes


async def test_the_login_for_docker_hub_stands_under_its_old_address(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps({"auths": {"https://index.docker.io/v1/": {"username": "ada", "password": "secret-word"}}})
    )
    login = await login_for("docker.io", config)
    assert login is not None
    assert (login.user, login.secret) == ("ada", "secret-word")
    assert "secret-word" not in repr(login)


async def test_an_identity_token_has_no_user(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {"https://acme.azurecr.io": {"identitytoken": "long-token"}}}))
    login = await login_for("acme.azurecr.io", config)
    assert login is not None
    assert (login.user, login.secret) == ("", "long-token")


async def test_without_a_configuration_there_is_no_login(tmp_path: Path) -> None:
    assert await login_for("ghcr.io", tmp_path / "none.json") is None
