"""A container registry of the OCI distribution specification 1.1, its reading half, in memory.

Digests are those of the real bytes. Pushing is for tests and the world, by Python: no client can write here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from sandbox.registry.access import Access
from sandbox.registry.images import DOCKER_LIST, OCI_INDEX, OCI_MANIFEST, Form, Images, Manifest
from sandbox.serving import Handler, Stand

ERRORS = {
    400: ("UNSUPPORTED", "The operation is unsupported."),
    401: ("UNAUTHORIZED", "authentication required"),
    403: ("DENIED", "requested access to the resource is denied"),
    404: ("MANIFEST_UNKNOWN", "manifest unknown"),
    405: ("UNSUPPORTED", "The operation is unsupported."),
    429: ("TOOMANYREQUESTS", "You have reached your pull rate limit."),
    500: ("UNKNOWN", "unknown error"),
    503: ("UNAVAILABLE", "service unavailable"),
}
NAMES = {OCI_MANIFEST: "OCI manifest", OCI_INDEX: "OCI index", DOCKER_LIST: "manifest list"}


def error(status: int, code: str = "", message: str = "", detail: Any = None) -> web.Response:
    """The specification's error object. A 429 has a `Retry-After` of a second."""
    default = ERRORS.get(status, ERRORS[500])
    one = {"code": code or default[0], "message": message or default[1], "detail": detail}
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.json_response({"errors": [one]}, status=status, headers=headers)


class LocalRegistry(Stand):
    """users: name -> password (none: everybody may read, after the token flow). service: its name in the challenge."""

    def __init__(
        self,
        users: Mapping[str, str] | None = None,
        *,
        access: Access | None = None,
        service: str = "registry.local",
    ) -> None:
        super().__init__()
        self.access = access or Access(users=users or {}, public=() if users else ("*",))
        self.service = service
        self.repositories: dict[str, Images] = {}

    # What a test or the world does to the registry

    def push(
        self,
        repository: str,
        tag: str | None,
        *,
        version: str = "",
        config: Mapping[str, Any] | None = None,
        form: Form = "manifest",
    ) -> str:
        """Build an image and tag it; returns its digest. The same version and config give the same digest.

        tag: None leaves it untagged. config: the image's config, `Labels` among it. form: single or list, OCI or Docker.
        """
        images = self.repositories.setdefault(repository, Images())
        digest = images.build(version or tag or "untagged", config or {}, form)
        if tag is not None:
            images.tags[tag] = digest
        return digest

    def move_tag(self, repository: str, tag: str, digest: str) -> None:
        """Point a tag at another image of this repository. Raises KeyError when it has none of that digest."""
        images = self.repositories[repository]
        images.tags[tag] = images.manifests[digest].digest

    def delete(self, repository: str, reference: str) -> None:
        """Delete a tag, or an image by digest with all of its tags. Raises KeyError when there is none."""
        images = self.repositories[repository]
        if reference in images.tags:
            del images.tags[reference]
            return
        del images.manifests[reference]
        images.tags = {tag: digest for tag, digest in images.tags.items() if digest != reference}

    def digest(self, repository: str, reference: str) -> str | None:
        """What a tag (or digest) stands for now; None when there is none."""
        images = self.repositories.get(repository)
        manifest = images.find(reference) if images else None
        return manifest.digest if manifest else None

    @property
    def host(self) -> str:
        """`127.0.0.1:port`, as an image reference begins with it."""
        return self.url.removeprefix("http://")

    def has(self, image: str) -> bool:
        """Whether this image reference can be pulled: `host/repository[:tag][@digest]`, the digest counting first."""
        name, _, digest = image.partition("@")
        head, slash, rest = name.partition("/")
        if slash and (":" in head or "." in head or head == "localhost"):
            name = rest
        name, _, tag = name.partition(":")
        return self.digest(name, digest or tag or "latest") is not None

    # HTTP

    def routes(self) -> list[web.RouteDef]:
        name = "/v2/{name:.+}"
        return [
            web.get("/v2/", self._base),
            web.get("/token", self._token),
            web.get(name + "/manifests/{reference}", self._manifest),
            web.get(name + "/tags/list", self._tags),
            web.get(name + "/blobs/{digest}", self._blob),
        ]

    def dress(self, request: web.Request, status: int) -> web.Response:
        return self._challenge(request) if status == 401 else error(status)

    def middlewares(self) -> list[Any]:
        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            refusal = None if request.path.startswith("/_control/") else self._refusal(request)
            response = refusal if refusal is not None else await handler(request)
            if request.path.startswith("/v2/"):
                response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
            return response

        return [gate]

    def _refusal(self, request: web.Request) -> web.Response | None:
        if not request.path.startswith("/v2/") or self.access.mode == "none":
            return None
        name = request.match_info.get("name", "")
        if self.access.mode == "basic":
            user = self.access.basic_user(request)
            if not user:
                return self._challenge(request)
            return None if not name or self.access.may_read(user, name) else error(403)
        grant = self.access.grant_of(request)
        if grant is None:
            wrong = "invalid_token" if "Authorization" in request.headers else ""
            return self._challenge(request, wrong)
        if not name or name in grant.repositories:
            return None
        if self.access.may_read(grant.user, name):
            return self._challenge(request, "insufficient_scope")
        return error(403)

    def _challenge(self, request: web.Request, wrong: str = "") -> web.Response:
        name = request.match_info.get("name", "")
        if self.access.mode == "basic":
            header = f'Basic realm="{self.service}"'
        else:
            header = f'Bearer realm="{self.url}/token",service="{self.service}"'
            header += f',scope="repository:{name}:pull"' if name else ""
            header += f',error="{wrong}"' if wrong else ""
        detail = [{"Type": "repository", "Class": "", "Name": name, "Action": "pull"}] if name else None
        response = error(401, detail=detail)
        response.headers["WWW-Authenticate"] = header
        return response

    async def _base(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _token(self, request: web.Request) -> web.Response:
        user = self.access.basic_user(request)
        if user is None:
            return error(401, message="incorrect username or password")
        scopes = [scope for given in request.query.getall("scope", []) for scope in given.split()]
        token = self.access.grant(user, scopes)
        issued = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        life = {"expires_in": int(self.access.token_s), "issued_at": issued}
        return web.json_response({"token": token, "access_token": token, **life})

    def _images(self, request: web.Request) -> Images | None:
        return self.repositories.get(request.match_info["name"])

    async def _manifest(self, request: web.Request) -> web.Response:
        images, reference = self._images(request), request.match_info["reference"]
        if images is None:
            return _no_name(request)
        manifest = images.find(reference)
        if manifest is None:
            return error(404, message=f"manifest unknown to {request.match_info['name']}", detail=_unknown(reference))
        if not _accepted(request, manifest):
            name = NAMES[manifest.media_type]
            return error(404, message=f"{name} found, but accept header does not support {name}s")
        headers = {"Docker-Content-Digest": manifest.digest, "ETag": f'"{manifest.digest}"'}
        headers["Content-Type"] = manifest.media_type
        return web.Response(body=manifest.body, headers=headers)

    async def _tags(self, request: web.Request) -> web.Response:
        images, name = self._images(request), request.match_info["name"]
        if images is None:
            return _no_name(request)
        tags = sorted(tag for tag in images.tags if tag > request.query.get("last", ""))
        headers = {}
        if (asked := request.query.get("n", "")).isdigit() and int(asked) < len(tags):
            tags = tags[: int(asked)]
            if tags:
                headers["Link"] = f'</v2/{name}/tags/list?last={tags[-1]}&n={asked}>; rel="next"'
        return web.json_response({"name": name, "tags": tags}, headers=headers)

    async def _blob(self, request: web.Request) -> web.Response:
        images, digest = self._images(request), request.match_info["digest"]
        body = images.blobs.get(digest) if images else None
        if body is None:
            return error(404, "BLOB_UNKNOWN", "blob unknown to registry", digest)
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        return web.Response(body=body, headers=headers)


def _accepted(request: web.Request, manifest: Manifest) -> bool:
    """As CNCF Distribution 2.8: what is asked for by name; a Docker image goes to everybody, `*/*` names nothing."""
    if manifest.media_type not in NAMES:
        return True
    asked = {each.split(";")[0].strip() for line in request.headers.getall("Accept", []) for each in line.split(",")}
    return manifest.media_type in asked


def _no_name(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    return error(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})


def _unknown(reference: str) -> dict[str, str]:
    return {"Digest": reference} if ":" in reference else {"Tag": reference}
