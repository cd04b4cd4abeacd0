"""The tags of the repository acme/shop: a released version that runs, good candidates, what became of them, and one of each kind that is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

REPOSITORY = "acme/shop"
CHECKS = ("build", "test")
RUNNING = "v1.3.0"
RELEASE_FILE = ".forge/release.yaml"
FILES = Path(__file__).parent / "repository"
Kind = Literal["good", "lightweight", "unsigned", "unknown key"]
Ci = Literal["green", "red", "pending"]
Scan = Literal["clean", "critical", "old", "none"]


@dataclass(frozen=True)
class Tagged:
    """One tag of the repository. kind: how it is signed. ci: of its commit, at first. scan: what CI's scanner said of its images, at first.

    migrations: names of the SQL files that it brings. queries: which of the repository's files its queries are.
    of: the candidate whose commit and whose images it is; empty: it has its own.
    """

    version: str
    message: str
    kind: Kind = "good"
    ci: Ci = "green"
    scan: Scan = "clean"
    migrations: tuple[str, ...] = ()
    queries: str = "queries.sql"
    of: str = ""

    @property
    def about(self) -> str:
        """What is odd about it, for people."""
        signed = {
            "good": "",
            "lightweight": "a lightweight tag",
            "unsigned": "not signed",
            "unknown key": "a stranger's key",
        }
        ci = "" if self.ci == "green" else f"CI {self.ci}"
        scan = {"old": "scanned a month ago", "none": "never scanned", "critical": "a critical finding"}
        return signed[self.kind] or ci or scan.get(self.scan, "") or ABOUT.get(self.version, "")

    @property
    def is_plain(self) -> bool:
        """Good, as long as nobody spoils it."""
        return self.kind == "good" and self.scan == "clean" and self.version not in CONTRADICTED

    def files(self) -> dict[str, str | None]:
        """The repository at this tag: path -> text; None: not there, though it may have been in the commit before."""
        found: dict[str, str | None] = {
            "README.md": "# The shop\n",
            "VERSION": f"{self.version}\n",
            "schema.sql": read("schema.sql"),
            "queries.sql": read(self.queries),
        }
        for path in sorted((FILES / "migrations").glob("*.sql")):
            is_here = path.name.partition(".")[0] in self.migrations
            found[f"migrations/{path.name}"] = path.read_text(encoding="utf-8") if is_here else None
        declared = FILES / "releases" / f"{self.version}.yaml"
        found[RELEASE_FILE] = declared.read_text(encoding="utf-8") if declared.exists() else None
        return found


def read(path: str) -> str:
    """A file of the repository."""
    return (FILES / path).read_text(encoding="utf-8")


ABOUT = {
    "v1.4.0-rc.2": "brings a migration",
    "v1.4.0-rc.4": "brings a migration that has to be taken back",
    "v1.4.0-rc.10": "its SQL isn't what its release file says",
    "v1.4.0": "is v1.4.0-rc.2, brings its migration",
    "v1.4.2": "is v1.4.2-rc.1",
    "v1.4.4": "is v1.4.0-rc.4, brings its migration",
    "v1.5.0": "was never a candidate",
}
CONTRADICTED = ("v1.4.0-rc.10", "v1.5.0")
TAGS = (
    Tagged(RUNNING, "Release the shop"),
    Tagged("v1.4.0-rc.1", "Sell tongs"),
    Tagged(
        "v1.4.0-rc.2", "Sell tongs for less", migrations=("add-discounts", "drop-old-prices"),
        queries="queries-discounts.sql",
    ),
    Tagged("v1.4.0-rc.3", "Sell hammers"),
    Tagged("v1.4.0-rc.4", "Sell anvils by the dozen", migrations=("widen-totals",)),
    Tagged("v1.4.0-rc.5", "Forget to run the tests", ci="red"),
    Tagged("v1.4.0-rc.6", "Tag in a hurry", "lightweight"),
    Tagged("v1.4.0-rc.7", "Forget to sign", "unsigned"),
    Tagged("v1.4.0-rc.8", "Sign with a key nobody knows", "unknown key"),
    Tagged("v1.4.0-rc.10", "Forget how many were sold", migrations=("forget-quantities",)),
    Tagged("v1.4.0-rc.11", "Forget to scan the images", scan="none"),
    Tagged("v1.4.0-rc.12", "Build once more what was scanned a month ago", scan="old"),
    Tagged("v1.4.2-rc.1", "Sell nails"),
)  # fmt: skip
CANDIDATES = tuple(tag for tag in TAGS if tag.version != RUNNING)
FINALS = (
    Tagged("v1.4.0", "Release tongs for less", of="v1.4.0-rc.2"),
    Tagged("v1.4.1", "Release in a hurry", "lightweight", of="v1.4.0-rc.3"),
    Tagged("v1.4.2", "Release nails", of="v1.4.2-rc.1"),
    Tagged("v1.4.3", "Release without a signature", "unsigned", of="v1.4.0-rc.3"),
    Tagged("v1.4.4", "Release anvils by the dozen", of="v1.4.0-rc.4"),
    Tagged("v1.5.0", "Release what nobody has tried"),
)
"""For production: signed on the commit of a candidate, and with its images, as they should be, and otherwise."""
