"""How a version of the shop can be bad, and which versions are just now."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.shop.pods import ShopPod

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
ANY = "*"


Place = tuple[str, str]
"""(environment, track); an empty word means any."""


@dataclass
class Spoils:
    """Known spoils by version or digest (`*`: any): those of everywhere, and those of places, which go before.

    versions: digest -> the versions it is known as, so that a version spoils all of its images, whatever else they are called.
    """

    by_name: dict[str, Spoil] = field(default_factory=dict)
    by_place: dict[Place, dict[str, Spoil]] = field(default_factory=dict)
    versions: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def know(self, version: str, digest: str) -> None:
        known = self.versions.get(digest, ())
        if version not in known:
            self.versions[digest] = (*known, version)

    def put(self, name: str, spoil: Spoil, env: str = "", track: str = "") -> None:
        known = self.by_place.setdefault((env, track), {}) if env or track else self.by_name
        known[name] = spoil

    def remove(self, name: str, env: str = "", track: str = "") -> None:
        """Without a place: everywhere and in every place."""
        if env or track:
            self.by_place.get((env, track), {}).pop(name, None)
            return
        for known in (self.by_name, *self.by_place.values()):
            known.pop(name, None)

    def clear(self, env: str = "", track: str = "") -> None:
        """Of one place, or without one of all."""
        if env or track:
            self.by_place.pop((env, track), None)
            return
        self.by_name.clear()
        self.by_place.clear()

    def of(self, image: str, env: str = "", track: str = "") -> Spoil:
        """The spoil of an image reference: the narrowest place's first; there its digest's, then a version's, then its tag's."""
        name, _, digest = image.partition("@")
        tag = name.rpartition("/")[2].partition(":")[2]
        names = (digest, *self.versions.get(digest, ()), tag, ANY)
        places = ((env, track), (env, ""), ("", track)) if self.by_place else ()
        for known in (*(self.by_place.get(place, {}) for place in places), self.by_name):
            for each in names:
                if each and each in known:
                    return known[each]
        return GOOD

    def of_pod(self, pod: ShopPod) -> Spoil:
        return self.of(pod.image, pod.env, pod.track)

    def version_of(self, image: str) -> str:
        """The version that it was first known as, else the tag or the digest."""
        name, _, digest = image.partition("@")
        return (
            next(iter(self.versions.get(digest, ())), "")
            or name.rpartition("/")[2].partition(":")[2]
            or digest
            or "unknown"
        )

    def is_version(self, image: str, version: str) -> bool:
        """Whether the image is known as this version, among others maybe."""
        return version in (*self.versions.get(image.partition("@")[2], ()), self.version_of(image))
