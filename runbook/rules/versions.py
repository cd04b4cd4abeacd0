"""Which versions an environment takes. Runbook: Environment Topology, staging "receives release candidates only"."""

from __future__ import annotations

import re
from collections.abc import Iterable

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


def nearest_candidates(version: str, known_tags: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """Candidates of the same X.Y.Z if there are any, else of any; the newest first."""
    parsed = (Version.parse(tag) for tag in known_tags)
    candidates = sorted((v for v in parsed if v is not None and v.candidate is not None), reverse=True)
    numbers = tuple(int(n) for n in _NUMBERS.findall(version[:_LONGEST_QUOTED])[:3])
    same = [v for v in candidates if (v.major, v.minor, v.patch) == numbers]
    return tuple(str(v) for v in (same or candidates)[:most])


def candidates_remedy(nearest: tuple[str, ...]) -> str:
    if not nearest:
        return "Tag a candidate (git tag -s vX.Y.Z-rc.1) and push it; none exists yet"
    return f"The nearest that {'exist' if len(nearest) > 1 else 'exists'}: {listing(nearest)}"
