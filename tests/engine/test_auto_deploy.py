"""What is green on the branch comes to dev by itself: bursts, restarts, red and pending CI, people's locks, and GitHub's troubles."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engine.records import Lock, Mark, Run, RunChanges
from runbook.errors import Permanent, StoreUnavailable, Temporary
from runbook.values import FORGE
from runbook.verdicts import Verdict
from tests.engine.automatic import DEV, POLICY, Place, automatic, service, setting_of, sha_of, with_dev
from tests.engine.harness import ADA, failing, without_data


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def short(*shas: str) -> list[str]:
    return [sha[:12] for sha in shas]


# --- the ordinary way ---------------------------------------------------------------------------------------------------


async def test_a_green_commit_is_deployed_after_it_has_settled(place: Place) -> None:
    place.push("")
    async with automatic(place) as a:
        assert a.runs() == []
        newest = place.push()
        a.ring()
        await a.clock.advance(9)
        assert a.runs() == []
        await a.clock.advance(2)
        (run,) = await a.all_ended(1)
        assert (run.id, run.version, run.ending) == ("dev-1", newest[:12], "completed")
        assert (run.requester, run.reason) == (FORGE.id, "CI is green on main")
        assert place.outside.done == ["look", "deploy", "observe"]


async def test_what_it_brings_is_kept_with_the_run(place: Place) -> None:
    place.push()
    async with automatic(place) as a:
        (run,) = await a.all_ended(1)
        (kept,) = a.rows(RunChanges, run=run.id)
        assert kept.found["head"] == sha_of(1)


async def test_what_was_missed_while_forge_was_down_is_caught_up_at_start(place: Place) -> None:
    first = place.push()
    async with automatic(place) as a:
        await a.all_ended(1)
    second, third = place.push(), place.push()
    async with automatic(place) as a:
        await a.all_ended(2)
        assert a.deployed() == short(first, third)
        (skipped,) = a.audited("auto_deploy.skipped")
        assert skipped.subject == "dev-2"
        assert skipped.evidence == {"commits": [second], "total": 1, "whole": True}
        assert skipped.why == f"superseded by {third[:12]}"


async def test_without_any_ring_the_branch_is_asked_at_its_pace(place: Place) -> None:
    async with automatic(place) as a:
        place.push()
        await a.clock.advance(POLICY.poll_s + 1)
        assert len(a.runs()) == 1


async def test_a_commit_that_a_run_was_opened_for_is_never_opened_again_by_itself(place: Place) -> None:
    place.push()
    place.outside.results["deploy"] = lambda: failing("deploy")
    async with automatic(place) as a:
        (run,) = await a.all_ended(1)
        assert run.ending == "returned"
        for _ in range(3):
            a.ring()
            await a.clock.advance(400)
        assert len(a.runs()) == 1
    async with automatic(place) as a:
        await a.clock.advance(1000)
        assert len(a.runs()) == 1


async def test_a_storm_of_five_hundred_pushes_ends_with_the_newest_in_few_runs(tmp_path: Path) -> None:
    place = Place(tmp_path, setting=setting_of(dev=replace(POLICY, settle_s=1.0)))
    place.push()
    async with automatic(place) as a:
        await a.all_ended(1)
        place.outside.takes_s["deploy"] = 25.0
        for _ in range(500):
            newest = place.push()
            a.ring()
            await a.clock.advance(0.12)
        await a.until(lambda: a.deployed()[-1:] == short(newest))
        await a.all_ended(2)
        assert 2 <= len(a.runs()) <= 5
        assert len(set(a.deployed())) == len(a.runs())
        skipped = a.audited("auto_deploy.skipped")
        assert len(skipped) == len(a.runs()) - 1
        assert not skipped[-1].evidence["whole"]
        await a.clock.advance(1000)
        assert a.deployed()[-1:] == short(newest)


async def test_a_storm_postpones_the_look_for_six_times_the_settling_time_at_most(place: Place) -> None:
    place.push("")
    async with automatic(place) as a:
        newest = place.push()
        for _ in range(70):
            a.ring()
            await a.clock.advance(1)
            if a.runs():
                break
        assert a.deployed() == short(newest)


async def test_a_ring_while_github_is_asked_leads_to_another_look(place: Place) -> None:
    place.push("")
    async with automatic(place) as a:
        plain = place.source.commits

        async def slow(repository: str, branch: str, most: int = 30) -> object:
            found = await plain(repository, branch, most)
            await a.clock.sleep_until(a.clock.now() + timedelta(seconds=20))
            return found

        place.source.commits = slow  # type: ignore[method-assign, assignment]
        a.ring()
        await a.clock.advance(15)
        newest = place.push()
        a.ring()
        await a.clock.advance(60)
        assert a.deployed() == short(newest)


async def test_another_repository_rings_nothing(place: Place) -> None:
    async with automatic(place) as a:
        place.source.asked.clear()
        place.push()
        a.ring("acme/other")
        await a.clock.advance(100)
        assert place.source.asked == []


async def test_two_services_of_one_repository_are_both_deployed(tmp_path: Path) -> None:
    place = Place(tmp_path, setting=setting_of(service("shop"), service("desk"), service("other", "acme/other")))
    newest = place.push()
    async with automatic(place) as a:
        await a.all_ended(2)
        assert sorted((run.service, run.version) for run in a.runs()) == [("desk", newest[:12]), ("shop", newest[:12])]


async def test_a_branch_that_is_configured_is_followed(tmp_path: Path) -> None:
    place = Place(tmp_path, setting=setting_of(service("shop", branch="trunk")))
    place.push()
    newest = place.push(branch="trunk")
    async with automatic(place) as a:
        (run,) = await a.all_ended(1)
        assert (run.version, run.reason) == (newest[:12], "CI is green on trunk")


@pytest.mark.parametrize("why", ["policy", "no dev", "no source"])
async def test_nothing_is_deployed_where_it_is_not_configured(tmp_path: Path, why: str) -> None:
    setting = setting_of(dev=replace(POLICY, auto_deploy=why != "policy"))
    if why == "no dev":
        setting = setting_of(replace(service("shop"), urls={}))
    place = Place(tmp_path, setting=setting)
    place.push()
    async with automatic(place) as a:
        if why == "no source":
            a.engine.auto_deploys._ports = replace(a.engine.auto_deploys._ports, source=None)
        a.ring()
        await a.clock.advance(1000)
        assert (a.runs() == []) is (why != "no source") or len(a.runs()) == 1


async def test_it_is_switched_on_by_a_reload(tmp_path: Path) -> None:
    place = Place(tmp_path, setting=setting_of(dev=replace(POLICY, auto_deploy=False)))
    place.push()
    async with automatic(place) as a:
        await a.clock.advance(1000)
        assert a.runs() == []
        await a.clock.complete(a.engine.reload(with_dev(place.setting, auto_deploy=True)))
        await a.all_ended(1)


# --- CI -----------------------------------------------------------------------------------------------------------------


async def test_a_pending_ci_is_asked_again_every_half_minute_until_it_is_green(place: Place) -> None:
    newest = place.push("pending")
    async with automatic(place) as a:
        await a.clock.advance(95)
        assert len(place.ci.asked) == 4
        place.ci.states[newest] = "success"
        await a.clock.advance(31)
        assert a.deployed() == short(newest)


async def test_a_ci_that_takes_for_ever_is_asked_as_seldom_as_everything_else(place: Place) -> None:
    place.push("")
    async with automatic(place) as a:
        await a.clock.advance(POLICY.ci_wait_s + 60)
        asked = len(place.ci.asked)
        await a.clock.advance(3600)
        assert len(place.ci.asked) - asked <= 3600 / POLICY.poll_s


async def test_below_a_red_commit_the_newest_green_one_is_taken(place: Place) -> None:
    first = place.push()
    async with automatic(place) as a:
        await a.all_ended(1)
        second = place.push()
        place.push("failure")
        place.push("failure")
        a.ring()
        await a.all_ended(2)
        assert a.deployed() == short(first, second)
        await a.clock.advance(1000)
        assert len(a.runs()) == 2


async def test_below_a_pending_commit_the_newest_green_one_is_taken_and_the_pending_one_when_it_is_green(
    place: Place,
) -> None:
    first, second = place.push(), place.push("pending")
    async with automatic(place) as a:
        await a.all_ended(1)
        place.ci.states[second] = "success"
        await a.all_ended(2)
        assert a.deployed() == short(first, second)


async def test_a_red_commit_that_is_made_green_by_a_repeat_is_deployed(place: Place) -> None:
    newest = place.push("failure")
    async with automatic(place) as a:
        await a.clock.advance(400)
        assert a.runs() == []
        place.ci.states[newest] = "success"
        a.ring()
        await a.clock.advance(11)
        assert a.deployed() == short(newest)


async def test_a_required_check_that_is_missing_keeps_a_commit_out(tmp_path: Path) -> None:
    place = Place(tmp_path, setting=setting_of(service("shop", required_checks=("security",))))
    place.push()
    async with automatic(place) as a:
        await a.clock.advance(1000)
        assert a.runs() == []


# --- a branch that was rewritten ----------------------------------------------------------------------------------------


async def test_after_a_force_push_the_newest_green_commit_counts(place: Place) -> None:
    first = place.push()
    async with automatic(place) as a:
        await a.all_ended(1)
        place.source.branches.clear()
        second, _ = place.push(), place.push("failure")
        a.ring()
        await a.all_ended(2)
        assert a.deployed() == short(first, second)


async def test_a_branch_that_is_set_back_to_what_was_deployed_before_deploys_nothing(place: Place) -> None:
    place.push()
    async with automatic(place) as a:
        await a.all_ended(1)
        place.push()
        a.ring()
        await a.all_ended(2)
        del place.source.branches["acme/shop", "main"][0]
        a.ring()
        await a.clock.advance(1000)
        assert len(a.runs()) == 2


# --- beside people ------------------------------------------------------------------------------------------------------


async def test_while_a_run_goes_on_nothing_is_asked_and_nothing_is_opened_beside_it(place: Place) -> None:
    first = place.push()
    place.outside.takes_s["deploy"] = 3600.0
    async with automatic(place) as a:
        await a.until(lambda: "deploy" in place.outside.done)
        place.push()
        newest = place.push()
        place.source.asked.clear()
        for _ in range(5):
            a.ring()
            await a.clock.advance(400)
        assert len(a.runs()) == 1
        assert place.source.asked == []
        await a.all_ended(2)
        assert a.deployed() == short(first, newest)


async def test_a_lock_keeps_new_runs_out_until_it_is_lifted(place: Place) -> None:
    async with automatic(place) as a:
        await a.act("lock", environment=DEV, reason="a demo")
        newest = place.push()
        a.ring()
        await a.clock.advance(1000)
        assert a.runs() == []
        await a.act("unlock", environment=DEV)
        await a.clock.advance(1)
        assert a.deployed() == short(newest)


async def test_a_freeze_keeps_new_runs_out_until_it_ends(place: Place) -> None:
    async with automatic(place) as a:
        answer = await a.act("freeze", environment=DEV, reason="a demo", options={"until": "2h"})
        assert answer.ok, answer
        newest = place.push()
        a.ring()
        await a.clock.advance(7100)
        assert a.runs() == []
        await a.clock.advance(200)
        assert a.deployed() == short(newest)


async def test_a_lock_of_another_environment_or_service_is_none(place: Place) -> None:
    place.push()
    async with automatic(place) as a:
        await a.all_ended(1)
        await a.counted.write(
            lambda ledger: ledger.add(Lock(environment="dev", service="desk", owner="x", owner_name="X", reason="", at=a.clock.now()))
        )  # fmt: skip
        place.push()
        a.ring()
        await a.all_ended(2)


async def test_what_a_person_has_deployed_counts_as_attempted(place: Place) -> None:
    async with automatic(place) as a:
        place.ci.errors = Temporary("github", "down", "GitHub doesn't answer")
        first = place.push()
        answer = await a.act("deploy", environment=DEV, version=first, service="shop")
        if answer.ok:
            await a.all_ended(1)
        place.ci.errors = []
        second = place.push()
        a.ring()
        await a.until(lambda: bool(a.runs()) and a.deployed()[-1] == second[:12])
        assert a.deployed().count(first[:12]) <= 1


async def test_a_held_automatic_run_is_left_for_a_newer_green_commit(place: Place) -> None:
    first = place.push()
    place.outside.results["observe"] = lambda: without_data("observe")
    async with automatic(place) as a:
        await a.until(lambda: any(run.state == "held" for run in a.runs()))
        second = place.push("pending")
        a.ring()
        await a.clock.advance(60)
        assert [run.state for run in a.runs()] == ["held"]
        del place.outside.results["observe"]
        place.ci.states[second] = "success"
        runs = await a.all_ended(2)
        assert a.deployed() == short(first, second)
        assert [(run.ending, run.ending_code) for run in runs] == [
            ("returned", "superseded"),
            ("completed", "completed"),
        ]
        assert runs[0].ending_reason == f"superseded by {second[:12]}"
        assert "return" in place.outside.done
        (entry,) = a.audited("auto_deploy.superseded")
        assert (entry.subject, entry.why) == ("dev-1", f"superseded by {second[:12]}")


async def test_a_held_run_without_an_effect_is_cancelled_for_a_newer_commit(place: Place) -> None:
    place.push()
    place.outside.results["look"] = lambda: without_data("look")
    async with automatic(place) as a:
        await a.until(lambda: any(run.state == "held" for run in a.runs()))
        del place.outside.results["look"]
        place.push()
        a.ring()
        runs = await a.all_ended(2)
        assert [run.ending for run in runs] == ["cancelled", "completed"]


async def test_a_run_that_becomes_held_after_a_newer_commit_came_is_left_at_once(place: Place) -> None:
    place.push()
    place.outside.takes_s["deploy"] = 100.0
    place.outside.results["observe"] = lambda: without_data("observe")
    async with automatic(place) as a:
        await a.until(lambda: "deploy" in place.outside.done)
        place.push()
        await a.until(lambda: "observe" in place.outside.done)
        del place.outside.results["observe"]
        await a.clock.advance(150)
        assert a.runs()[0].ending_code == "superseded"


async def test_a_held_run_of_a_person_is_left_to_people(place: Place) -> None:
    place.push()
    place.outside.results["look"] = lambda: without_data("look")
    async with automatic(place) as a:
        await a.until(lambda: any(run.state == "held" for run in a.runs()))
        (run,) = a.runs()
        theirs = replace(run, requester=ADA.id, requester_name=ADA.name)
        await a.counted.write(lambda ledger: ledger.save(theirs))
        place.push()
        a.ring()
        await a.clock.advance(1000)
        assert [run.state for run in a.runs()] == ["held"]


async def test_a_queued_automatic_run_gives_way_to_a_newer_green_commit(place: Place) -> None:
    first = place.push("")
    async with automatic(place) as a:
        deploys = a.engine.auto_deploys
        wake, deploys._wake = deploys._wake, lambda run: None
        place.ci.states[first] = "success"
        await a.until(lambda: [run.state for run in a.runs()] == ["queued"])
        deploys._wake = wake
        second = place.push()
        a.ring()
        runs = await a.all_ended(2)
        assert a.deployed() == short(first, second)
        assert (runs[0].ending, runs[0].ending_reason) == ("cancelled", f"superseded by {second[:12]}")
        assert place.outside.done == ["look", "deploy", "observe"]


# --- an image that isn't there yet --------------------------------------------------------------------------------------

NO_IMAGE = Verdict.failed("image digests", "image.missing", "r.test/web has no such tag", remedy="Push the image")


async def test_an_image_that_comes_after_ci_is_awaited(place: Place) -> None:
    newest = place.push()
    place.refuse[newest] = NO_IMAGE
    async with automatic(place) as a:
        await a.clock.advance(300)
        assert a.runs() == []
        del place.refuse[newest]
        await a.clock.advance(300)
        assert a.deployed() == short(newest)
        assert a.told("can't be deployed") == []


async def test_an_image_that_never_comes_is_told_once_over_restarts(place: Place) -> None:
    newest = place.push()
    place.refuse[newest] = NO_IMAGE
    async with automatic(place) as a:
        await a.clock.advance(29 * 60)
        assert a.told("can't be deployed") == []
        await a.clock.advance(2 * 60)
        (told,) = a.told("can't be deployed")
        assert newest[:12] in told
        (note,) = [m for m in place.chat.messages if "can't be deployed" in m.message.text]
        assert "r.test/web has no such tag" in str(note.message.blocks)
        assert f"/forge deploy dev {newest[:12]}" in str(note.message.blocks)
    async with automatic(place) as a:
        await a.clock.advance(7200)
        assert len(a.told("can't be deployed")) == 1
        following = place.push()
        a.ring()
        await a.clock.advance(11)
        assert a.deployed() == short(following)


async def test_a_configuration_that_forbids_it_is_told_at_once(place: Place) -> None:
    newest = place.push()
    place.refuse[newest] = Verdict.failed(
        "service", "service.no_transaction", "shop has no authenticated smoke request"
    )
    async with automatic(place) as a:
        await a.clock.advance(1)
        assert len(a.told("can't be deployed")) == 1
        await a.clock.advance(7200)
        assert len(a.told("can't be deployed")) == 1
        place.refuse.clear()
        await a.clock.advance(POLICY.poll_s)
        assert a.deployed() == short(newest)


# --- GitHub in trouble --------------------------------------------------------------------------------------------------


async def test_a_rate_limit_is_waited_out_as_long_as_github_asks_and_no_ring_hastens_it(place: Place) -> None:
    place.push()
    limited = Temporary("github", "rate_limited", "GitHub's rate limit is used up for 900 s", "", 900.0)
    place.source.errors["commits"] = [limited]
    async with automatic(place) as a:
        asked = len(place.source.asked)
        for _ in range(8):
            a.ring()
            await a.clock.advance(100)
        assert len(place.source.asked) == asked
        await a.clock.advance(101)
        await a.all_ended(1)


async def test_trouble_that_lasts_is_asked_with_growing_pauses_and_told_once_after_half_an_hour(place: Place) -> None:
    newest = place.push()
    place.source.errors["commits"] = Temporary("github", "down", "GitHub answered 502", "See githubstatus.com")
    async with automatic(place) as a:
        await a.clock.advance(25 * 60)
        assert a.told("by itself") == []
        assert len(place.source.asked) < 20
    async with automatic(place) as a:
        await a.clock.advance(11 * 60)
        (told,) = a.told("by itself")
        assert "<@UADA>" in told
        note = next(m for m in place.chat.messages if "by itself" in m.message.text)
        assert "GitHub answered 502" in str(note.message.blocks)
        assert "githubstatus.com" in str(note.message.blocks)
        await a.clock.advance(7200)
        assert len(a.told("by itself")) == 1
        place.source.errors.clear()
        await a.clock.advance(301)
        assert a.deployed() == short(newest)
        assert a.rows(Mark) == []


async def test_a_repository_that_isnt_there_is_told_at_once_and_once(place: Place) -> None:
    place.push()
    place.source.errors["commits"] = Permanent("github", "not_found", "GitHub shows no repository acme/shop", "Let the token see it")  # fmt: skip
    async with automatic(place) as a:
        await a.clock.advance(1)
        assert len(a.told("by itself")) == 1
        await a.clock.advance(7200)
        assert len(a.told("by itself")) == 1
    async with automatic(place) as a:
        await a.clock.advance(600)
        assert len(a.told("by itself")) == 1
        place.source.errors.clear()
        await a.clock.advance(301)
        assert len(a.runs()) == 1


async def test_a_branch_that_isnt_there_is_told(place: Place) -> None:
    async with automatic(place) as a:
        await a.clock.advance(1)
        (note,) = [m for m in place.chat.messages if "by itself" in m.message.text]
        assert "acme/shop has no branch main" in str(note.message.blocks)


async def test_ci_that_cant_be_asked_deploys_nothing(place: Place) -> None:
    place.push()
    place.ci.errors = Temporary("github", "down", "GitHub doesn't answer")
    async with automatic(place) as a:
        await a.clock.advance(1200)
        assert a.runs() == []
        place.ci.errors = []
        await a.all_ended(1)


async def test_one_services_trouble_holds_up_no_other(tmp_path: Path) -> None:
    place = Place(tmp_path, setting=setting_of(service("shop"), service("desk", "acme/desk")))
    newest = place.push(repository="acme/desk")
    async with automatic(place) as a:
        await a.all_ended(1)
        assert [(run.service, run.version) for run in a.runs()] == [("desk", newest[:12])]


async def test_a_bug_stops_nothing_for_ever(place: Place) -> None:
    async with automatic(place) as a:
        plain = place.source.commits

        async def broken(*_: object, **__: object) -> object:
            raise RuntimeError("a bug")

        place.source.commits = broken  # type: ignore[method-assign, assignment]
        place.push()
        a.ring()
        await a.clock.advance(30)
        place.source.commits = plain  # type: ignore[method-assign]
        await a.all_ended(1)


async def test_while_the_store_is_in_trouble_nothing_new_is_started(place: Place) -> None:
    async with automatic(place) as a:
        sick = type("Sick", (), {"healthy": False, "read": a.counted.read, "write": a.counted.write})()
        deploys = a.engine.auto_deploys
        well, deploys._store = deploys._store, sick
        place.push()
        a.ring()
        await a.clock.advance(30)
        assert a.runs() == []
        deploys._store = well
        await a.all_ended(1)


async def test_a_run_that_was_opened_by_a_commit_of_doubtful_end_is_not_forgotten(place: Place) -> None:
    place.push("")
    async with automatic(place) as a:
        deploys = a.engine.auto_deploys
        well = deploys._store

        class Doubtful:
            healthy = True
            read = well.read

            async def write(self, change: object) -> object:
                await well.write(change)  # type: ignore[arg-type]
                deploys._store = well
                raise StoreUnavailable("doubtful", "the last changes may or may not have been kept")

        deploys._store = Doubtful()  # type: ignore[assignment]
        newest = place.push()
        a.ring()
        (run,) = await a.all_ended(1)
        assert (run.version, run.ending) == (newest[:12], "completed")


async def test_an_answer_that_takes_too_long_holds_up_no_other_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.auto_deploy.LONGEST_ASKING_S", 0.2)
    place = Place(tmp_path, setting=setting_of(service("shop"), service("desk", "acme/desk")))
    plain = place.source.commits

    async def hanging(repository: str, branch: str, most: int = 30) -> object:
        if repository == "acme/shop":
            await asyncio.Event().wait()
        return await plain(repository, branch, most)

    place.source.commits = hanging  # type: ignore[method-assign, assignment]
    newest = place.push(repository="acme/desk")
    async with automatic(place) as a:
        await a.all_ended(1)
        assert a.deployed() == short(newest)


async def test_when_the_process_ends_nothing_more_is_opened(place: Place) -> None:
    async with automatic(place) as a:
        await a.engine.auto_deploys.stop()
        place.push()
        a.ring()
        await a.clock.advance(1000)
        assert a.runs() == []


async def test_a_result_decides_nothing_where_something_came_between(place: Place) -> None:
    """A lock that is set while GitHub is being asked: the run isn't opened."""
    async with automatic(place) as a:
        plain = place.source.changes

        async def locking(repository: str, base: str, head: str) -> object:
            lock = Lock(environment="dev", service="*", owner="x", owner_name="X", reason="", at=a.clock.now())
            await a.counted.write(lambda ledger: ledger.save(lock))
            return await plain(repository, base, head)

        place.push()
        a.ring()
        await a.all_ended(1)
        place.source.changes = locking  # type: ignore[method-assign, assignment]
        place.push()
        a.ring()
        await a.clock.advance(200)
        assert len(a.rows(Run)) == 1
