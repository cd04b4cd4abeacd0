"""Images as a registry stores them: manifests and blobs by the SHA-256 of their very bytes, tags as names for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
Form = Literal["manifest", "index", "docker", "docker-list"]


def digest_of(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


@dataclass(frozen=True)
class Manifest:
    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        return digest_of(self.body)


@dataclass
class Images:
    """One repository of a registry."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def find(self, reference: str) -> Manifest | None:
        """By tag or digest."""
        return self.manifests.get(self.tags.get(reference, reference))

    def build(self, version: str, config: Mapping[str, Any], form: Form) -> str:
        """Store an image of one small layer; returns the digest of what a tag would point at."""
        docker = form.startswith("docker")
        labels = {"org.opencontainers.image.version": version, **config.get("Labels", {})}
        layer = f"layer of {version}".encode()
        image = {
            "architecture": "amd64",
            "os": "linux",
            "config": {**config, "Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }
        inner = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
            "config": self._blob(_bytes(image), DOCKER_CONFIG if docker else OCI_CONFIG),
            "layers": [self._blob(layer, DOCKER_LAYER if docker else OCI_LAYER)],
        }
        manifest = self._store(inner)
        if form in ("manifest", "docker"):
            return manifest.digest
        described = _descriptor(manifest.body, manifest.media_type)
        entry = {**described, "platform": {"architecture": "amd64", "os": "linux"}}
        media_type = DOCKER_LIST if docker else OCI_INDEX
        return self._store({"schemaVersion": 2, "mediaType": media_type, "manifests": [entry]}).digest

    def _blob(self, body: bytes, media_type: str) -> dict[str, Any]:
        self.blobs[digest_of(body)] = body
        return _descriptor(body, media_type)

    def _store(self, value: dict[str, Any]) -> Manifest:
        manifest = Manifest(value["mediaType"], _bytes(value))
        self.manifests[manifest.digest] = manifest
        return manifest


def _bytes(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True).encode()


def _descriptor(body: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(body), "size": len(body)}
