"""What differs between two plans, in words: for the card of an approval that a changed plan has voided. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from runbook.plan import Guard, Plan, RatioGuard, Step, to_json
from runbook.values import Role
from runbook.wording import duration, listing, measure, percent, shortened

_VALUE_LIMIT = 120
_MOST = 20

_WORDS = {
    "expires_s": "expiry",
    "patience_s": "patience",
    "timeout_s": "time-out",
    "duration_s": "length of the observation",
    "on_fail": "what a failure does",
    "for_s": "time until a breach",
    "required": "required checks",
    "requests": "smoke requests",
    "smoke": "smoke requests",
    "targets": "workloads whose traffic moves",
}


def what_changed(old: Plan, new: Plan) -> tuple[str, ...]:
    """One sentence for each difference: tag, commit, digests, steps, roles, numbers, guards. Empty only for equal plans."""
    found = [*_release_changes(old, new), *_step_changes(old, new), *_guard_changes(old, new), *_other(old, new)]
    unique = list(dict.fromkeys(found))
    if len(unique) > _MOST:
        unique[_MOST:] = [f"and {len(unique) - _MOST} more"]
    if not unique and old != new:
        unique = ["the plan's details"]
    return tuple(unique)


def _release_changes(old: Plan, new: Plan) -> Iterator[str]:
    was, now = _mapping(old.about.get("release")), _mapping(new.about.get("release"))
    if old.version != new.version:
        yield f"version: {old.version} → {new.version}"
    for key, words in (("tag_object", "tag object"), ("commit", "commit"), ("signer", "signer")):
        if was.get(key) != now.get(key):
            yield f"{words}: {_shown(was.get(key))} → {_shown(now.get(key))}"
    before, after = _digests(was), _digests(now)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"image of {name}: {_shown(before.get(name))} → {_shown(after.get(name))}"


def _digests(release: Mapping[str, Any]) -> dict[str, str]:
    return {f"{i['workload']}/{i['container']}": f"{i['repository']}@{i['digest']}" for i in release.get("images", ())}


def _step_changes(old: Plan, new: Plan) -> Iterator[str]:
    before, after = _by_title(old), _by_title(new)
    for title in (t for t in before if t not in after):
        yield f"step removed: {title}"
    for title in (t for t in after if t not in before):
        yield f"step added: {title}"
    told = {
        *_digests(_mapping(old.about.get("release"))).values(),
        *_digests(_mapping(new.about.get("release"))).values(),
    }
    both = [title for title in after if title in before]
    if both != [title for title in before if title in after]:
        yield "order of the steps"
    for title in both:
        one, other = before[title], after[title]
        if type(one) is not type(other):
            yield f"{title}: another kind of step"
        elif one != other:
            yield from _differences(title, _about_itself(one, told), _about_itself(other, told))


def _by_title(plan: Plan) -> dict[str, Step]:
    """A repeated title gets a number, so that no step hides another."""
    found: dict[str, Step] = {}
    for step in plan.steps():
        title, count = step.title, 1
        while title in found:
            count += 1
            title = f"{step.title} ({count})"
        found[title] = step
    return found


def _about_itself(step: Step, told: Collection[str]) -> dict[str, Any]:
    """Without the release, which has its own sentences. told: references of its images; a Job's own image is not among them."""
    fields: dict[str, Any] = to_json(step)
    for key in ("image", "down_image"):
        if isinstance(fields.get(key), Mapping) or fields.get(key) in told:
            fields.pop(key)
    if _all_mappings(fields.get("images")):
        fields.pop("images")
    for check in fields.get("checks", ()):
        for key in ("release", "commit", "images"):
            check.pop(key, None)
    return fields


def _guard_changes(old: Plan, new: Plan) -> Iterator[str]:
    before, after = _guards(old), _guards(new)
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        if one is None:
            yield f"guard added: {name}"
        elif other is None:
            yield f"guard removed: {name}"
        elif one != other:
            rest_one, rest_other = to_json(one), to_json(other)
            if isinstance(one, Guard) and isinstance(other, Guard):
                if one.limit != other.limit:
                    yield f"guard {name}, limit: {measure(one.limit, one.unit)} → {measure(other.limit, other.unit)}"
                for fields in (rest_one, rest_other):
                    fields.pop("limit")
            yield from _differences(f"guard {name}", rest_one, rest_other)


def _guards(plan: Plan) -> dict[str, Guard | RatioGuard]:
    found: dict[str, Guard | RatioGuard] = {}
    for _, _, span in plan.spans():
        found.update({guard.name: guard for guard in span.guards})
        found.update({ratio.name: ratio for ratio in span.ratios})
    return found


def _other(old: Plan, new: Plan) -> Iterator[str]:
    if (old.procedure, old.service, old.environment) != (new.procedure, new.service, new.environment):
        yield "what is deployed where"
    if old.about.get("changes_url") != new.about.get("changes_url"):
        yield "the version that it is compared with"


def _differences(where: str, one: Any, other: Any, key: str = "") -> Iterator[str]:
    """Down to single values; a list whose length changed is told as a whole."""
    if one == other:
        return
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted(one.keys() | other.keys()):
            yield from _differences(where, one.get(name), other.get(name), name)
    elif key != "roles" and _all_mappings(one) and _all_mappings(other) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            yield from _differences(where, left, right, key)
    else:
        yield f"{where}, {_words(key)}: {_value(one, key)} → {_value(other, key)}"


def _all_mappings(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(v, Mapping) for v in value)


def _words(key: str) -> str:
    return _WORDS.get(key) or key.removesuffix("_s").replace("_", " ") or "details"


def _value(value: Any, key: str) -> str:
    """Numbers with their unit, as the field's name tells it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if key.endswith("_s"):
            return duration(float(value))
        return percent(float(value)) if key.endswith("_ratio") else f"{value:g}"
    if key == "roles" and isinstance(value, list):
        return listing(Role(role).value.replace("_", " ") for role in value) or "nobody"
    if isinstance(value, list):
        return (
            listing(_shown(v.get("name") or v.get("workload", v) if isinstance(v, Mapping) else v) for v in value)
            or "none"
        )
    return _shown(value)


def _shown(value: Any) -> str:
    return "none" if value in (None, "", {}) else shortened(str(value), _VALUE_LIMIT)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
