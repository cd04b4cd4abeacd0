"""The lines of `forge runbook`: one step, check, guard or checklist item of a plan as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bot.configuration.units import ratio_text
from engine.present import slot_words
from runbook.criteria import Weight
from runbook.durations import duration_text
from runbook.plan import CONTINUE, HOLD, PROMPT, STOP, Guard, Plan, RatioGuard, Span, Step
from runbook.steps import Approval, Choice, CleanLogs, Gate
from runbook.steps.control import Checklist
from runbook.values import Role
from runbook.wording import listing, measure

CHECKS = {
    "candidate_tag": "the tag is signed and was not moved, and its images still have the frozen digests",
    "ci_green": "CI is green for the commit",
    "deployable": "every workload exists, has its probes, and belongs to no GitOps controller",
    "steady_state": "error rate and latency over the whole observation, with a minimum of requests",
    "clean_scan": "no open critical finding in the newest security scan of every image",
    "key_metrics": "every key metric over the whole observation",
    "dependency_timeouts": "time-outs of dependencies against what was normal before the release",
    "automated_tests": "smoke tests and every suite have passed in this run",
    "migrated": "the expand migrations are done and the data verified",
    "performance_kept": "what the load measured is within the tolerance of the target",
    "canary_ratio": "the canary's errors against stable's, by a sequential test over the whole roll-out",
    "phase_sample": "enough requests reached the canary at this weight",
    "phase_errors": "the canary's error rate at this weight, by more than chance explains",
    "phase_latency": "the canary's p95 at this weight, against the target and against stable's",
    "error_budget_burn": "how fast the error budget burns over a long and a short window, of the canary and of the whole service",
    "saturation": "the canary's CPU, memory, OOM kills and restarts, and the database's connections",
    "endpoints_ready": "every pod of the canary is ready and alive",
    "phases_passed": "every weight's gate has passed, and no rollback trigger was met",
    "no_sustained_alert": "no warning or critical alert was sustained after the full roll-out",
    "traffic_dividable": "stable carries its track, no canary is left from before, and the route has both backends at rest",
    "runs_here": "every workload runs this very release, and no pod of another version is left",
    "final_tag": "the release's tag is signed and was not moved, its images are those that staging proved, and the go stands",
    "on_call_available": "somebody is on call and can be reached",
    "approvers_reachable": "every approval has a reachable person of its own, other than who asked for the release",
    "release_notes": "the version has release notes",
    "rollback_plan": "the images to go back to are known, and every migration has a way back",
    "recent_backup": "the newest backup is young and restorable, and a restore was drilled lately",
    "change_window": "a change window is open",
    "no_freeze": "nobody has frozen the environment or the service in it",
    "no_open_incident": "no incident of severity 1 or 2 is open for the service or the environment",
    "calm_across": "no incident of severity 1 or 2 is open for the service in dev or staging",
    "dev_validated": "this very commit was validated in dev: smoke tests, logs and error rate",
    "smoke_passed": "the smoke tests have passed in this run",
    "error_rate": "the error rate over the whole observation, with a minimum of requests",
    "clean_logs": "no pod has logged a line that a configured pattern finds, since the deployment began",
}
"""What each kind of check asks, for people."""

_ON_FAIL = {
    STOP: "stop",
    HOLD: "hold",
    CONTINUE: "continue",
    PROMPT: "on-call is asked whether to roll back",
}

_FEW = 3
"""More details than these aren't told twice."""


def step_lines(plan: Plan, *, brief_guards: bool = False) -> Iterator[str]:
    """Every step in the order of execution, with what its gates ask. brief_guards: by their names alone, told elsewhere in full."""
    number, told = 0, dict[tuple[str, ...], int]()
    for node in plan.nodes:
        if isinstance(node, Span):
            yield ""
            yield from _span_lines(node, number + 1, brief=brief_guards)
            yield ""
        for step in node.steps if isinstance(node, Span) else (node,):
            number += 1
            yield _line(number, step)
            details = tuple(_details(step))
            if len(details) > _FEW and details in told:
                details = (f"the same as step {told[details]}",)
            told.setdefault(details, number)
            yield from (f"   - {detail}" for detail in details)
        if isinstance(node, Span):
            yield ""
    yield ""


def _span_lines(span: Span, first: int, *, brief: bool) -> Iterator[str]:
    where = f"Watched from step {first} to step {first + len(span.steps) - 1}"
    if brief:
        names = [*(guard.name for guard in span.guards), *(ratio.name for ratio in span.ratios)]
        yield f"{where} by: {'; '.join(names)}."
        return
    yield f"{where}; a breach leads to `{span.on_breach}`:"
    yield ""
    yield from (f"- {guard_words(guard)}" for guard in span.guards)


def _line(number: int, step: Step) -> str:
    marks = []
    if isinstance(step, Approval):
        marks.append(f"by {', '.join(slot_words(slot) for slot in step.slots)} within {duration_text(step.expires_s)}")
    if isinstance(step, Choice):
        marks.append(f"by the {role_words(step.role)}; reminded after {duration_text(step.deadline_s)}")
    if isinstance(step, Checklist):
        ticked = "waits until every line is ticked" if step.waits else "nothing waits for it"
        marks.append(f"ticked by {listing((role_words(role) for role in step.roles), 'or')}; {ticked}")
    if step.effect:
        marks.append("changes the environment")
    if not isinstance(step, Choice):
        marks.append(f"on failure: {_ON_FAIL.get(step.on_fail, step.on_fail.removeprefix('procedure:'))}")
    return f"{number}. **{step.title}.**{_sentence(step)} ({'; '.join(marks)})"


def _sentence(step: Step) -> str:
    """What the title doesn't say yet."""
    rest = "" if step.sentence == step.title else step.sentence.removeprefix(f"{step.title}: ")
    return f" {rest}" if rest else ""


def _details(step: Step) -> Iterator[str]:
    match step:
        case Gate():
            yield from (f"{CHECKS[check.kind]}{_patterns(check)}{_weight(check)}" for check in step.checks)
        case Checklist():
            for item in step.items:
                by = f" (ticks itself when {listing(f'“{gate}”' for gate in item.gates)} passed)" if item.gates else ""
                yield f"[ ] {item.text}{by}"
        case Choice():
            yield from (f"**{option.label}**{f': {option.text}' if option.text else ''}" for option in step.options)


def _patterns(check: object) -> str:
    """Of the logs' check: what must not be there."""
    if not isinstance(check, CleanLogs):
        return ""
    return f": {', '.join(f'`{pattern}`' for pattern in check.patterns) or 'none is configured'}"


def _weight(check: object) -> str:
    """Of a criterion; a check of one weight of the traffic has its percentage under this name."""
    weight = getattr(check, "weight", None)
    if not isinstance(weight, Weight) or weight is Weight.REQUIRED:
        return ""
    return f" ({weight.value}: shown, not decisive)"


def role_words(role: Role) -> str:
    return slot_words((role,))


def guard_words(guard: Guard) -> str:
    """`error rate above 3 % for 5m (forge:error_ratio:1m)`."""
    side = "above" if guard.above else "below"
    match guard.unit:
        case "ratio":
            limit = ratio_text(guard.limit)
        case "s":
            limit = duration_text(guard.limit)
        case "bytes_per_s":
            limit = measure(guard.limit, guard.unit)
        case _:
            limit = f"{guard.limit:g}"
    optional = "; where somebody measures it" if guard.optional else ""
    return f"{guard.name} {side} {limit} for {duration_text(guard.for_s)} (`{guard.metric}`{optional})"


def ratio_words(guard: RatioGuard) -> str:
    """In the words of the sequential test: limit, its error, its least sample and its floor."""
    return (
        f"{guard.name}: more than {guard.ratio:g} times stable's error rate and more than {ratio_text(guard.floor)}, by a sequential test over "
        f"the whole roll-out that is wrong in at most {ratio_text(guard.alpha)} of good releases, from {guard.minimum_requests} requests of "
        f"the canary on (`{guard.errors}`)"
    )


def trigger_words(guard: Guard | RatioGuard) -> str:
    """The condition, and what it does."""
    what = ratio_words(guard) if isinstance(guard, RatioGuard) else guard_words(guard)
    if guard.action == PROMPT:
        return f"{what}: on-call is asked, and without an answer within {duration_text(guard.mitigate_s)} it is rolled back"
    return f"{what}: rolled back at once"
