"""A release to production as people live it: a gate that can't be answered, an override that two agree to, checklists, and what is left to do."""

from __future__ import annotations

from pathlib import Path

from engine.records import Decision, Override, Sealed, Tick
from runbook.policy import ProdPolicy
from tests.scenarios.production import NEW, SIZE, ProductionWorld, policy_with, production
from tests.scenarios.stage import PEOPLE, shown

STORY = policy_with(phase_s=60.0, watch_s=300.0, quiet_s=240.0, checklist=("Support is told",))
REASON = "the platform team keeps the backups"
assert isinstance(STORY.prod, ProdPolicy)


async def test_a_release_without_a_backup_on_record_goes_on_when_two_people_say_so_and_leaves_a_line_to_look_into(
    tmp_path: Path,
) -> None:
    world = ProductionWorld()
    world.backups.backup = None
    async with production(tmp_path, world=world, policy=STORY) as s:
        await s.says("ada", "promote v1.4.0 prod")
        await s.until_state("held")
        assert "no backup is on record" in s.why()
        await s.says("ada", f'override prod-1 backup --reason "{REASON}"')
        assert s.run().state == "held"
        assert "can't" in await s.agrees("ada") or s.run().state == "held"
        assert [o.state for o in s.rows(Override)] == ["asked"]
        await s.agrees("sam")
        await s.until_state("waiting")
        assert s.at() == "Ship to production"
        await s.shown_all()
        assert any(REASON in text and "Sam" in text for text in s.announced), "an override is loud"
        [granted] = s.rows(Sealed, action="override.granted")
        assert granted.actor == PEOPLE["sam"].id

        await s.says("sam", "approve prod-1")
        await s.says("opal", "approve prod-1")
        await s.until(lambda: s.at() == "Pre-deployment checklist")
        await s.shown_all()
        [card] = s.cards_of("checklist")
        assert "Backup recency and restore test status verified" in shown(card.message)
        assert {tick.item for tick in s.rows(Tick)} == {"artifact", "plan", "people"}
        assert "role" in await s.ticks("pia", "backup"), "not hers to tick"
        await s.ticks("rob", "backup")
        assert s.run().state == "waiting"
        assert s.world.cluster.moved == []
        await s.ticks("olly", "own-1")

        assert await s.ends() == "completed"
        assert s.weights == [5, 25, 100, 0]
        assert (s.images(), s.replicas(), s.weight) == (NEW, dict.fromkeys(NEW, SIZE), 0)
        assert [d.result for d in s.rows(Decision, environment="prod")] == ["released"]
        last = shown(s.cards_of("checklist")[-1].message)
        assert f"Look into “backup”, which was overridden: {REASON}" in last
        follow_up = f"override:{s.rows(Override)[0].id}"
        await s.ticks("rob", follow_up)
        assert s.rows(Override)[0].done_at is not None
        order = [
            text.split("prod-1: ")[1].split("\n")[0] for text in s.announced if "prod-1: shop v1.4.0 on prod" in text
        ]
        assert [next(w for w in ("Canary", "Ramp", "Full rollout", "is released") if w in line) for line in order] == [
            "Canary", "Ramp", "Full rollout", "is released",
        ]  # fmt: skip
