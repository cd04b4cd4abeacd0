"""Bets against "the canary fails at most `ratio` times as often as stable": the arithmetic of `canary_ratio`. docs/verdicts.md has the proofs.

Every value here is an e-value: while the canary is healthy its mean is at most 1, whenever one looks. It must never use a count twice.
"""

from __future__ import annotations

from math import exp, log, sqrt

ALTERNATIVES = (
    (1.25, 0.03), (1.5, 0.29), (2.0, 0.12), (2.5, 0.23), (3.5, 0.08), (5.0, 0.15), (10.0, 0.05), (30.0, 0.03), (100.0, 0.02),
)  # fmt: skip
"""(how many times the limit the canary's rate is, share of the stake). Three times stable is 1.5 times a limit of 2: the hardest case that
must be found fast, so it has the largest share; far ones need few failures and can pay for a small one."""

ABOVE_FLOOR = ((1.5, 0.08), (2.5, 0.12), (5.0, 0.2), (10.0, 0.3), (30.0, 0.15), (100.0, 0.15))
"""The same against the floor, which decides alone where stable hardly ever fails."""

AT_ONCE = 0.85
"""Share of a stake on a fault that is there from the beginning. The rest is put down little by little, for one that begins later."""

HAZARD = 1 / 120
"""What part of the remaining stake each tick puts down: at ticks of 15 s half of it within 20 minutes."""

NO_BETS = (0.0,) * len(ALTERNATIVES)
NO_FLOOR_BETS = (0.0,) * len(ABOVE_FLOOR)
_CEILING = 1e300
_LOGS = tuple((times, log(times), share, log(share)) for times, share in ALTERNATIVES)
_FLOOR_LOGS = tuple((times, log(times), share) for times, share in ABOVE_FLOOR)


def later_stake(tick: int) -> float:
    """What is put down on a fault that begins with this tick, the first being 0. All of it together is 1 - AT_ONCE."""
    return (1 - AT_ONCE) * HAZARD * (1 - HAZARD) ** tick


def bet_on_ratio(
    bets: tuple[float, ...],
    stake: float,
    canary: tuple[float, float],
    stable: tuple[float, float],
    ratio: float,
    by: float,
) -> tuple[float, ...]:
    """One tick's requests and errors of both tracks side by side, held against each other alone: whatever the rate of that very tick was.

    stake: put down before this tick is seen. by: the design effect that evidence is divided by.
    """
    (requests, errors), (others, failed) = canary, stable
    both, limit = errors + failed, ratio * requests
    top = others + limit
    return tuple(
        [
            _grown(bet + stake, (errors * log_times + both * log(top / (others + times * limit))) / by)
            for bet, (times, log_times, _, _) in zip(bets, _LOGS, strict=True)
        ]
    )


def bet_on_floor(
    bets: tuple[float, ...], stake: float, canary: tuple[float, float], floor: float, by: float
) -> tuple[float, ...]:
    """One tick's requests and errors of the canary against a rate that is known: the floor."""
    requests, errors = canary
    expected = floor * requests
    return tuple(
        [
            _grown(bet + stake, (errors * log_times - (times - 1) * expected) / by)
            for bet, (times, log_times, _) in zip(bets, _FLOOR_LOGS, strict=True)
        ]
    )


def worth(bets: tuple[float, ...], alternatives: tuple[tuple[float, float], ...] = ALTERNATIVES) -> float:
    return sum([bet * share for bet, (_, share) in zip(bets, alternatives, strict=True)])


def against_stored(
    canary: tuple[float, float], stable: tuple[float, float], stored: tuple[float, float], ratio: float, by: float
) -> float:
    """Logarithm of the e-value of (requests, errors) of both tracks since some moment, with stable's counts from before it.

    The stored error rate is as uncertain as its count says: a Gamma distribution of shape errors + 1. 0 where nothing speaks against
    the canary: then the e-value is at most 1.
    """
    requests, errors = canary[0] / by, canary[1] / by
    shape = (stored[1] + stable[1]) / by + 1
    others = (stored[0] + stable[0]) / by
    if errors * others <= ratio * requests * shape:
        return 0.0
    limit, count = ratio * requests, shape + errors
    top = log(others + limit)
    terms = [
        log_share + errors * log_times + count * (top - log(others + times * limit))
        for times, log_times, _, log_share in _LOGS
    ]
    most = max(terms)
    return most + log(sum(exp(term - most) for term in terms))


def risen(since: tuple[float, float], before: tuple[float, float], by: float) -> float:
    """How far stable's own error rate has risen, in standard deviations of its errors given all of them; 0 where there is nothing to tell."""
    requests, errors = since
    others, failed = before
    every = (errors + failed) / by
    if every <= 0 or requests <= 0 or others <= 0:
        return 0.0
    part, rest = requests / (requests + others), others / (requests + others)
    return (errors / by - every * part) / sqrt(every * part * rest)


def _grown(bet: float, log_factor: float) -> float:
    """Never infinite, since infinity has no place in JSON. Rounding down to 0 only takes a bet away."""
    grown = bet * exp(log_factor if log_factor < 600.0 else 600.0)
    return grown if grown < _CEILING else _CEILING
