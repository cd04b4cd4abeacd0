"""Which versions an environment takes. Runbook: Environment Topology, staging "receives release candidates only"; production takes releases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from runbook.values import Version
from runbook.verdicts import Evidence, Verdict
from runbook.wording import listing

GATE = "version name"
_NUMBERS = re.compile(r"\d+")
_LONGEST_QUOTED = 60


def check_candidate_name(version: str, known_tags: Iterable[str]) -> Verdict:
    """The version is a candidate's name, `vX.Y.Z-rc.N`. known_tags: any tags; a refusal names the nearest candidates among them."""
    parsed = Version.parse(version)
    if parsed is not None and parsed.candidate is not None:
        return Verdict.passed(GATE, f"{version} is a candidate's name", Evidence(name="version", value=version))
    quoted = version if len(version) <= _LONGEST_QUOTED else version[:_LONGEST_QUOTED] + "…"
    kind = "a release, not a candidate" if parsed is not None else "no version that forge knows"
    nearest = nearest_candidates(version, known_tags)
    reason = f"staging takes release candidates only, named vX.Y.Z-rc.N; {quoted} is {kind}"
    return Verdict.failed(
        GATE,
        "version.not_a_candidate",
        reason,
        Evidence(name="version", value=quoted, limit="vX.Y.Z-rc.N"),
        Evidence(name="nearest candidates", value=", ".join(nearest)),
        remedy=candidates_remedy(nearest),
    )


def check_final_name(version: str, known_tags: Iterable[str]) -> Verdict:
    """The version is a release's name, `vX.Y.Z`. known_tags: any tags; a refusal names the nearest releases among them."""
    parsed = Version.parse(version)
    if parsed is not None and parsed.candidate is None:
        return Verdict.passed(GATE, f"{version} is a release's name", Evidence(name="version", value=version))
    quoted = version if len(version) <= _LONGEST_QUOTED else version[:_LONGEST_QUOTED] + "…"
    kind = "a candidate, not a release" if parsed is not None else "no version that forge knows"
    nearest = nearest_finals(version, known_tags)
    return Verdict.failed(
        GATE,
        "version.not_a_release",
        f"production takes releases only, named vX.Y.Z; {quoted} is {kind}",
        Evidence(name="version", value=quoted, limit="vX.Y.Z"),
        Evidence(name="nearest releases", value=", ".join(nearest)),
        remedy=finals_remedy(version, nearest),
    )


def nearest_candidates(version: str, known_tags: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """Candidates of the same X.Y.Z if there are any, else of any; the newest first."""
    return _nearest(version, (v for v in _parsed(known_tags) if v.candidate is not None), most)


def nearest_finals(version: str, known_tags: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """Releases: the one of the same X.Y.Z if it is there, else any; the newest first."""
    return _nearest(version, (v for v in _parsed(known_tags) if v.candidate is None), most)


def _parsed(tags: Iterable[str]) -> Iterator[Version]:
    yield from (v for v in map(Version.parse, tags) if v is not None)


def _nearest(version: str, among: Iterable[Version], most: int) -> tuple[str, ...]:
    found = sorted(among, reverse=True)
    numbers = tuple(int(n) for n in _NUMBERS.findall(version[:_LONGEST_QUOTED])[:3])
    same = [v for v in found if (v.major, v.minor, v.patch) == numbers]
    return tuple(str(v) for v in (same or found)[:most])


def tag_remedy(version: str, known_tags: Iterable[str]) -> str:
    """What to do where there is no such tag: the nearest of its own kind that exist, or the tag to make."""
    parsed = Version.parse(version)
    if parsed is not None and parsed.candidate is None:
        return finals_remedy(version, nearest_finals(version, known_tags))
    return candidates_remedy(nearest_candidates(version, known_tags))


def final_of(version: str) -> str:
    """The release that a candidate is one for, such as `v1.4.0` for `v1.4.0-rc.2`; `vX.Y.Z` for what is no version."""
    parsed = Version.parse(version)
    return "vX.Y.Z" if parsed is None else f"v{parsed.major}.{parsed.minor}.{parsed.patch}"


def finals_remedy(version: str, nearest: tuple[str, ...]) -> str:
    """Names the final tag: promote it where it exists, else make it on the commit of the candidate that got its go."""
    final = final_of(version)
    if final in nearest:
        return f"Promote {final}, the signed tag on the commit of the candidate that got its go"
    make = f"Tag the commit of the candidate that got its go (git tag -s {final} <commit>) and push it"
    if not nearest:
        return f"{make}; no release is tagged yet"
    return f"{make}. The nearest that {'exist' if len(nearest) > 1 else 'exists'}: {listing(nearest)}"


def candidates_remedy(nearest: tuple[str, ...]) -> str:
    if not nearest:
        return "Tag a candidate (git tag -s vX.Y.Z-rc.1) and push it; none exists yet"
    return f"The nearest that {'exist' if len(nearest) > 1 else 'exists'}: {listing(nearest)}"
