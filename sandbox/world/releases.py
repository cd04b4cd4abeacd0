"""The repository acme/shop and its images: a released version that runs, good candidates, and one of each kind that is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sandbox.github import LocalGitHub
from sandbox.registry import LocalRegistry
from sandbox.shop import Shop
from sandbox.signing import SshSigner

REPOSITORY = "acme/shop"
CHECKS = ("build", "test")
RUNNING = "v1.3.0"
Kind = Literal["good", "lightweight", "unsigned", "unknown key"]
Ci = Literal["green", "red", "pending"]
CONCLUSIONS: dict[Ci, str] = {"green": "success", "red": "failure", "pending": "in_progress"}


@dataclass(frozen=True)
class Tagged:
    """One tag of the repository. kind: how it is signed. ci: of its commit, at first."""

    version: str
    message: str
    kind: Kind = "good"
    ci: Ci = "green"

    @property
    def about(self) -> str:
        """What is odd about it, for people."""
        words = {
            "good": "",
            "lightweight": "a lightweight tag",
            "unsigned": "not signed",
            "unknown key": "a stranger's key",
        }
        return words[self.kind] or ("" if self.ci == "green" else f"CI {self.ci}")


TAGS = (
    Tagged(RUNNING, "Release the shop"),
    Tagged("v1.4.0-rc.1", "Sell tongs"),
    Tagged("v1.4.0-rc.2", "Sell tongs for less"),
    Tagged("v1.4.0-rc.3", "Sell hammers"),
    Tagged("v1.4.0-rc.4", "Sell anvils by the dozen"),
    Tagged("v1.4.0-rc.5", "Forget to run the tests", ci="red"),
    Tagged("v1.4.0-rc.6", "Tag in a hurry", "lightweight"),
    Tagged("v1.4.0-rc.7", "Forget to sign", "unsigned"),
    Tagged("v1.4.0-rc.8", "Sign with a key nobody knows", "unknown key"),
)
CANDIDATES = tuple(tag for tag in TAGS if tag.version != RUNNING)
GOOD = tuple(tag.version for tag in CANDIDATES if tag.kind == "good" and tag.ci == "green")


class Releases:
    """What developers and CI have done, and may do again: commits, tags, checks, images."""

    def __init__(
        self, github: LocalGitHub, registry: LocalRegistry, shop: Shop, signer: SshSigner, stranger: SshSigner
    ) -> None:
        self._github = github
        self._registry = registry
        self._shop = shop
        self._signer = signer
        self._stranger = stranger
        self.commits: dict[str, str] = {}
        self.ci: dict[str, Ci] = {}

    def publish(self, began: datetime) -> None:
        """Everything at times derived from `began`, so that a second start has the same SHAs."""
        for number, tag in enumerate(TAGS):
            self._publish(tag, began - timedelta(hours=len(TAGS) - number))

    def _publish(self, tag: Tagged, at: datetime) -> None:
        files = {"README.md": "# The shop\n", "VERSION": f"{tag.version}\n"}
        sha = self._github.commit(REPOSITORY, tag.message, files=files, at=at)
        self.commits[tag.version] = sha
        signer = {"good": self._signer, "unknown key": self._stranger}.get(tag.kind)
        annotated = tag.kind != "lightweight"
        self._github.tag(REPOSITORY, tag.version, sha, annotated=annotated, signer=signer, at=at)
        self.set_ci(tag.version, tag.ci)
        for workload in self._shop.workloads:
            config = {"Labels": {"org.opencontainers.image.title": workload}}
            digest = self._registry.push(f"acme/{workload}", tag.version, config=config)
            self._shop.know(tag.version, digest)

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
