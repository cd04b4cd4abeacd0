"""Whether a tag and its images may be deployed. Runbook: "Release candidate tag signed and immutable", "artifact immutable"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbook.ports import SignatureCheck, Tag
from runbook.rules.versions import tag_remedy
from runbook.values import FrozenImage, Version, is_digest
from runbook.verdicts import Evidence, Verdict
from runbook.wording import listing

TAG_GATE = "candidate tag"
FINAL_TAG_GATE = "release tag"
IMAGES_GATE = "image digests"

_SIGN_AGAIN = "Tag the next candidate with a configured key (git tag -s) and push it"
_SIGN_FINAL = "Tag the candidate's commit as the next version with a configured key (git tag -s) and push it"
_CODES = {
    "unknown_key": "tag.unknown_key",
    "bad_signature": "tag.bad_signature",
    "unsupported": "tag.unsupported_signature",
}


def judge_tag(
    tag: Tag | None,
    check: SignatureCheck | None,
    first_seen: tuple[str, str] | None,
    version: str,
    known_tags: Sequence[str] = (),
) -> Verdict:
    """The tag exists, hasn't moved, is annotated and signed by a configured signer, and the signed words are about this very tag.

    check: of the tag's signature, None when it wasn't checked. first_seen: (tag object, commit), None when never. known_tags: the nearest
    of the same kind are named when there is no such tag.
    """
    gate = FINAL_TAG_GATE if _is_final(version) else TAG_GATE
    if tag is None:
        remedy = tag_remedy(version, known_tags)
        return Verdict.failed(gate, "tag.missing", f"there is no tag {version}", remedy=remedy)
    sign_again = _SIGN_FINAL if _is_final(version) else _SIGN_AGAIN
    evidence = _tag_evidence(tag)
    if first_seen is not None and first_seen != (tag.tag_object, tag.commit):
        return _moved(tag, first_seen, version, evidence)
    if tag.tag_object is None:
        reason = f"{version} is a lightweight tag on {tag.commit[:12]}: it carries no signature and no author"
        return Verdict.failed(gate, "tag.lightweight", reason, *evidence, remedy=sign_again)
    if tag.signature is None:
        reason = f"{version} is annotated but not signed"
        return Verdict.failed(gate, "tag.unsigned", reason, *evidence, remedy=sign_again)
    if check is None:
        return Verdict.no_data(gate, "tag.not_verified", f"the signature of {version} was not verified", *evidence)
    if not check.valid:
        code = _CODES.get(check.code, "tag.bad_signature")
        reason = f"the signature of {version} doesn't count: {check.reason or check.code}"
        return Verdict.failed(gate, code, reason, *evidence, remedy=sign_again)
    if differences := _payload_differences(tag, version):
        reason = f"the signed words are not about {version} at {tag.commit[:12]}: {listing(differences)}"
        return Verdict.failed(gate, "tag.payload_mismatch", reason, *evidence, remedy=sign_again)
    signer = Evidence(name="signer", value=check.signer)
    return Verdict.passed(gate, f"{version} is signed by {check.signer} on {tag.commit[:12]}", *evidence, signer)


def _is_final(version: str) -> bool:
    parsed = Version.parse(version)
    return parsed is not None and parsed.candidate is None


def _tag_evidence(tag: Tag) -> tuple[Evidence, ...]:
    return (
        Evidence(name="tag object", value=tag.tag_object, source=tag.name),
        Evidence(name="commit", value=tag.commit, source=tag.name),
    )


def _moved(tag: Tag, first_seen: tuple[str, str], version: str, evidence: tuple[Evidence, ...]) -> Verdict:
    was_object, was_commit = first_seen
    now_object = tag.tag_object or "a lightweight tag"
    reason = (
        f"{version} has moved: it was the tag object {was_object} on commit {was_commit}, "
        f"it is now {now_object} on commit {tag.commit}"
    )
    before = (
        Evidence(name="first tag object", value=was_object, source=tag.name),
        Evidence(name="first commit", value=was_commit, source=tag.name),
    )
    remedy = "A candidate never moves: tag the next one (rc.N+1), and find out who moved this one"
    gate = TAG_GATE
    if _is_final(version):
        gate = FINAL_TAG_GATE
        remedy = "A release's tag never moves: tag the next version, and find out who moved this one"
    return Verdict.failed(gate, "tag.moved", reason, *evidence, *before, remedy=remedy)


def _payload_differences(tag: Tag, version: str) -> list[str]:
    """What git signs begins with the headers `object`, `type`, `tag`, `tagger` and an empty line.

    Source: git's builtin/mktag.c. A signature moved to another tag's name or commit shows here alone.
    """
    head = tag.payload.split("\n\n", 1)[0].split("\n")
    wanted = {"object": tag.commit, "type": "commit", "tag": version}
    differences = []
    for key, value in wanted.items():
        found = [line[len(key) + 1 :] for line in head if line.startswith(f"{key} ")]
        if found != [value]:
            differences.append(f"its {key} is {' and '.join(found)[:80] or 'absent'}, not {value}")
    return differences


def judge_images(
    asked: Sequence[tuple[str, str]],
    digests: Mapping[str, str | None],
    version: str,
    frozen: Sequence[FrozenImage] = (),
) -> tuple[Verdict, ...]:
    """Every image exists under the tag, and still has the digest that was frozen, if one was; each obstacle is a verdict.

    asked: (workload, repository). digests: what the registry answers now, by repository.
    """
    was = {image.repository: image.digest for image in frozen}
    obstacles = []
    seen: list[Evidence] = []
    for workload, repository in asked:
        name, digest = f"{repository}:{version}", digests.get(repository)
        evidence = Evidence(name=workload, value=digest, limit=was.get(repository), source=name)
        if digest is None:
            reason = f"the registry has no image {name} for {workload}"
            remedy = "Build and push the candidate's image, or correct the repository in the configuration"
            obstacles.append(Verdict.failed(IMAGES_GATE, "image.missing", reason, evidence, remedy=remedy))
        elif not is_digest(digest):
            reason = f"the registry's answer for {name} is no digest"
            obstacles.append(Verdict.failed(IMAGES_GATE, "image.not_a_digest", reason, evidence))
        elif was.get(repository, digest) != digest:
            reason = f"{name} has changed: it was {was[repository]}, it is now {digest}"
            remedy = "An image never changes under its tag: push the next candidate"
            obstacles.append(Verdict.failed(IMAGES_GATE, "image.digest_changed", reason, evidence, remedy=remedy))
        else:
            seen.append(evidence)
    if obstacles:
        return tuple(obstacles)
    words = "still have the frozen digests" if frozen else "exist, and are frozen by digest"
    return (Verdict.passed(IMAGES_GATE, f"the images of {listing(w for w, _ in asked)} {words}", *seen),)
