"""What developers and CI have done, and may do again: commits, tags, checks, images with what is in them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sandbox.github import LocalGitHub
from sandbox.jobs.image import BEHAVIOUR
from sandbox.registry import LocalRegistry
from sandbox.shop import Shop
from sandbox.signing import SshSigner
from sandbox.world.tags import CHECKS, FINALS, REPOSITORY, TAGS, Ci, Tagged
from sandbox.world.ways import Way

CONCLUSIONS: dict[Ci, str] = {"green": "success", "red": "failure", "pending": "in_progress"}


class Releases:
    """folder: where the images' files are unpacked, a folder a version."""

    def __init__(
        self, github: LocalGitHub, registry: LocalRegistry, shop: Shop, signer: SshSigner, stranger: SshSigner, folder: Path
    ) -> None:  # fmt: skip
        self._github = github
        self._registry = registry
        self._shop = shop
        self._signer = signer
        self._stranger = stranger
        self._folder = folder
        self.commits: dict[str, str] = {}
        self.ci: dict[str, Ci] = {}
        self._built: dict[str, str] = {}  # final version -> the candidate that its images were built as

    def publish(self, began: datetime) -> None:
        """Everything at times derived from `began`, so that a second start has the same SHAs."""
        for number, tag in enumerate(TAGS):
            self._publish(tag, began - timedelta(hours=len(TAGS) - number))
        for number, tag in enumerate(FINALS):
            self._publish(tag, began - timedelta(minutes=len(FINALS) - number))

    def _publish(self, tag: Tagged, at: datetime) -> None:
        sha = self.commits[tag.of] if tag.of else self._commit(tag, at)
        self.commits[tag.version] = sha
        signer = {"good": self._signer, "unknown key": self._stranger}.get(tag.kind)
        annotated = tag.kind != "lightweight"
        self._github.tag(REPOSITORY, tag.version, sha, annotated=annotated, signer=signer, at=at)
        if tag.of:
            self._github.release(REPOSITORY, tag.version, f"## {tag.message}\n\nTried as {tag.of} in staging.\n")
            self.ci[tag.version] = self.ci[tag.of]
            self._built[tag.version] = tag.of
            self._github.release(REPOSITORY, tag.version, tag.message)  # its notes, which production asks for
        else:
            self.set_ci(tag.version, tag.ci)
        for workload in self._shop.everything:
            digest = self._push(workload, tag)
            self._shop.know(tag.version, digest)
            self._registry.move_tag(f"acme/{workload}", sha, digest)

    def build(self, sha: str) -> str:
        """CI builds the images of a commit, under its SHA; returns by what they are known, its first twelve digits. Again is no error."""
        name = sha[:12]
        files = self._github.repository(REPOSITORY).files[sha]
        self._unpack(name, {path: content.decode() for path, content in files.items()})
        self.commits[name] = sha
        config = {"Labels": {"org.opencontainers.image.revision": sha}}
        for workload in self._shop.everything:
            self._shop.know(name, self._registry.push(f"acme/{workload}", sha, config=config))
        return name

    def tag(self, version: str, sha: str, at: datetime) -> None:
        """Somebody signs a tag on a commit that was built, and CI gives its images the tag."""
        self._github.tag(REPOSITORY, version, sha, signer=self._signer, at=at)
        self.commits[version] = sha
        self.ci[version] = "green"
        self._built[version] = sha[:12]
        for workload in self._shop.everything:
            digest = self._registry.digest(f"acme/{workload}", sha) or ""
            self._registry.move_tag(f"acme/{workload}", version, digest)
            self._shop.know(version, digest)

    def _commit(self, tag: Tagged, at: datetime) -> str:
        files = tag.files()
        self._unpack(tag.version, {path: text for path, text in files.items() if text is not None})
        return self._github.commit(REPOSITORY, tag.message, files=files, at=at)

    def _push(self, workload: str, tag: Tagged) -> str:
        """Build the image, or give the candidate's one more tag; returns its digest."""
        name = f"acme/{workload}"
        built = self._registry.digest(name, tag.of) if tag.of else None
        if built is None:
            config = {"Labels": {"org.opencontainers.image.title": workload}}
            return self._registry.push(name, tag.version, config=config)
        self._registry.move_tag(name, tag.version, built)
        return built

    def _unpack(self, version: str, files: dict[str, str]) -> None:
        for path, text in files.items():
            place = self._folder / version / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")

    def set_ci(self, version: str, ci: Ci) -> None:
        """CI of the version's commit says so from now on. Raises KeyError for an unknown version."""
        self.ci[version] = ci
        checks = {CHECKS[0]: "success", CHECKS[1]: CONCLUSIONS[ci]}
        self._github.set_checks(REPOSITORY, self.commits[version], checks)

    def move_tag(self, version: str) -> str:
        """Somebody moves the tag to a new commit, properly signed; returns the commit. Raises KeyError for an unknown version."""
        if version not in self.commits:
            raise KeyError(version)
        sha = self._github.commit(REPOSITORY, f"Slip something into {version}", files={"SLIPPED": version})
        self._github.move_tag(REPOSITORY, version, sha, signer=self._signer)
        self._github.set_checks(REPOSITORY, sha, dict.fromkeys(CHECKS, "success"))
        self.commits[version] = sha
        return sha

    def image(self, workload: str, version: str) -> str:
        """The reference by digest that a Deployment runs."""
        digest = self._registry.digest(f"acme/{workload}", version)
        return f"{self._registry.host}/acme/{workload}@{digest}"

    # --- what Jobs run

    def behave(self, version: str, way: Way) -> None:
        """From now on the programs in the version's images behave so, whatever else these are called. Raises KeyError for an unknown version."""
        if version not in self.commits:
            raise KeyError(version)
        told = self._folder / self._built.get(version, version) / BEHAVIOUR
        made = told.with_suffix(".new")
        made.write_text(json.dumps(dict(way.jobs)), encoding="utf-8")
        made.replace(told)

    def programs(self, image: str) -> Sequence[str] | None:
        """The entrypoint that a Job's container of this image starts with; None: the image can't be pulled."""
        version = self._shop.spoils.version_of(image)
        if version not in self.commits:
            return None
        return [sys.executable, "-m", "sandbox.jobs", "--image", str(self._folder / version)]
