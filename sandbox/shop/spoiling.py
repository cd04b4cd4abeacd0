"""How a version of the shop can be bad, and which versions are just now."""

from __future__ import annotations

from dataclasses import dataclass, field

CRASH_MESSAGE = "panic: config: SHOP_CATALOG_URL is not set\n\ngoroutine 1 [running]:\nmain.main()"


@dataclass(frozen=True)
class Spoil:
    """What is wrong with a version; nothing by default.

    error_ratio: of the API's answers that are 500, in [0, 1], spread evenly. latency_s: added to every answer of the API.
    health_slow_s: added to every health answer. order_fails: the authenticated transaction always ends in a 500.
    order_error_ratio: of the orders that end in a 500. dependency_timeout_ratio: of the requests to other systems that time out; they are
    tried again, so that customers see nothing of it. queue_backlog: accepted orders are worked on no more, and their queue's lag grows.
    job_failure_ratio: of the orders' background jobs that fail. memory_ratio: working set over its limit; from 1 on containers are
    killed for it soon after each start.
    """

    error_ratio: float = 0.0
    latency_s: float = 0.0
    crash_loop: bool = False
    never_ready: bool = False
    health_slow_s: float = 0.0
    order_fails: bool = False
    crash_message: str = CRASH_MESSAGE
    order_error_ratio: float = 0.0
    dependency_timeout_ratio: float = 0.0
    queue_backlog: bool = False
    job_failure_ratio: float = 0.0
    memory_ratio: float = 0.3

    def __post_init__(self) -> None:
        for name in RATIOS:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is between 0 and 1")

    @property
    def out_of_memory(self) -> bool:
        return self.memory_ratio >= 1


RATIOS = ("error_ratio", "order_error_ratio", "dependency_timeout_ratio", "job_failure_ratio", "memory_ratio")
GOOD = Spoil()


@dataclass
class Spoils:
    """Known spoils by version or digest. versions: digest -> version, so that a version spoils all of its images."""

    by_name: dict[str, Spoil] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def of(self, image: str) -> Spoil:
        """The spoil of an image reference: its digest's first, then its version's, then its tag's."""
        name, _, digest = image.partition("@")
        tag = name.rpartition("/")[2].partition(":")[2]
        for known in (digest, self.versions.get(digest, ""), tag):
            if known and known in self.by_name:
                return self.by_name[known]
        return GOOD

    def version_of(self, image: str) -> str:
        """The version as far as it is known, else the tag or the digest."""
        name, _, digest = image.partition("@")
        return self.versions.get(digest) or name.rpartition("/")[2].partition(":")[2] or digest or "unknown"
