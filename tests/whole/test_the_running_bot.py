"""The bot as whoever runs it meets it: the command line against it, SIGHUP, a second process, HTTP, a tampered audit log."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from sandbox.serving import until
from sandbox.world.staff import ADA, SAM
from tests.whole.stage import Stage

ENDS_WITHIN_S = 150
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def forge(stage: Stage, *words: str, **environment: str) -> Said:
    """The `forge` command as a process, with the running bot's environment."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", *words, env=stage.world.bot_environment() | environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said = asyncio.create_task(process.communicate())
    is_over, _ = await asyncio.wait({said}, timeout=ENDS_WITHIN_S)
    if not is_over:
        process.kill()
    out, err = await said
    assert is_over, f"forge {' '.join(words)} doesn't end; so far it says:\n{out.decode()}{err.decode()}"
    assert process.returncode is not None
    return Said(process.returncode, out.decode(), err.decode())


async def port_of(stage: Stage) -> int:
    def found() -> int:
        lines = [line for line in stage.world.bot.log.read_text().splitlines() if '"event": "started"' in line]
        return int(json.loads(lines[-1])["port"]) if lines else 0

    return int(await stage.until(found, "the bot says its port"))


async def test_the_command_line_reads_from_the_running_bot_and_may_not_act_without_a_role(stage: Stage) -> None:
    run = await stage.deploy("v1.4.0-rc.2", approve=False)
    shown = await forge(stage, "status", run, "--json")
    assert (shown.code, shown.json["view"]["id"]) == (0, run)
    refused = await forge(stage, "cancel", run)
    assert refused.code == 1
    assert "role" in refused.out + refused.err
    await stage.command(ADA, f"cancel {run}")
    assert "cancelled" in await stage.until_ended(run)


async def test_the_command_line_can_not_decide_and_names_the_slack_way(stage: Stage) -> None:
    said = await forge(stage, "approve", "staging-1")
    assert said.code == 3
    assert "Slack" in said.out + said.err


async def test_a_second_process_on_the_same_database_refuses_to_start(stage: Stage) -> None:
    said = await forge(stage, "serve")
    assert said.code != 0
    assert "another forge" in said.err
    assert str(stage.world.bot.pid) in said.err


async def test_without_an_audit_key_it_does_not_start_and_names_the_command_that_makes_one(stage: Stage) -> None:
    said = await forge(stage, "serve", FORGE_AUDIT_KEY="")
    assert said.code == 2
    assert "forge audit keygen" in said.err


async def test_health_and_metrics_answer(stage: Stage) -> None:
    port = await port_of(stage)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for path in ("live", "startup", "ready"):
            async with session.get(f"/health/{path}") as answer:
                assert answer.status == 200, await answer.text()
        async with session.get("/metrics") as answer:
            text = await answer.text()
    for name in ("forge_runs", "forge_outbox_backlog", "forge_port_call_seconds", "forge_commits_total"):
        assert name in text


async def test_readiness_notices_that_slack_is_gone_and_that_it_is_back(stage: Stage) -> None:
    port = await port_of(stage)

    async def is_ready() -> bool:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health/ready") as answer:
            return answer.status == 200

    async def is_unready() -> bool:
        return not await is_ready()

    stage.world.slack.go_down()
    await until(is_unready, 120, "readiness turns red", every_s=0.2)
    stage.world.slack.come_back()
    await until(is_ready, 120, "readiness turns green", every_s=0.2)


async def test_sighup_takes_a_new_policy_voids_approvals_and_leaves_an_invalid_file_aside(stage: Stage) -> None:
    path, before = stage.world.config_path, stage.world.config_path.read_text()
    run = await stage.deploy("v1.4.0-rc.2", approve=False)
    await stage.until(lambda: stage.asks(run, "Deploy to staging"), "it asks for approval")
    process, log = stage.world.bot._process, stage.world.bot.log
    assert process is not None

    def hang_up() -> None:
        process.send_signal(signal.SIGHUP)

    try:
        path.write_text(before + "\nnonsense: true\n")
        hang_up()
        await stage.until(lambda: "configuration.refused" in log.read_text(), "the file is refused")
        assert "void" not in stage.thread(run)
        path.write_text(before.replace("min_requests: 60", "min_requests: 61"))
        hang_up()
        await stage.until(lambda: "approvals are void" in stage.thread(run), "the plan is made anew")
        assert "61" in stage.thread(run)
    finally:
        path.write_text(before)
        hang_up()
        await stage.command(ADA, f"cancel {run}")
        await stage.until_ended(run)


async def test_the_audit_log_is_verified_shown_and_exported(stage: Stage) -> None:
    run = await stage.deploy("v1.4.0-rc.2", approve=False)
    await stage.until(lambda: stage.asks(run, "Deploy to staging"), "it asks for approval")
    await stage.command(SAM, f"reject {run} --reason not-today")
    await stage.until_ended(run)
    verified = await forge(stage, "audit", "verify")
    assert verified.code == 0, verified.out + verified.err
    shown = await forge(stage, "audit", "show", "--run", run)
    assert "not-today" in shown.out
    target = stage.world.folder / "audit.csv"
    assert (await forge(stage, "audit", "export", str(target))).code == 0
    assert "approval.reject" in target.read_text()
    target.unlink()


async def test_a_changed_audit_log_keeps_the_bot_from_starting_and_the_first_bad_entry_is_named(stage: Stage) -> None:
    await stage.world.bot.stop()
    database = stage.world.folder / "forge.db"
    with closing(sqlite3.connect(database)) as connection:
        triggers = connection.execute("select name, sql from sqlite_master where type = 'trigger'").fetchall()
        [[last, why]] = connection.execute("select seq, why from audit order by seq desc limit 1").fetchall()
        for name, _ in triggers:
            connection.execute(f"drop trigger {name}")
        connection.execute("update audit set why = 'somebody else' where seq = ?", (last,))
        connection.commit()
    try:
        said = await forge(stage, "audit", "verify")
        assert said.code == 5
        assert str(last) in said.out + said.err
        started = await forge(stage, "serve")
        assert started.code == 5
        assert "not intact" in started.err.lower()
    finally:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("update audit set why = ? where seq = ?", (why, last))
            for _, sql in triggers:
                connection.execute(sql)
            connection.commit()
        await stage.world.start_bot()


async def test_where_socket_mode_is_not_wanted_slack_comes_by_http_and_forged_requests_are_refused(
    stage: Stage,
) -> None:
    world, path, before = stage.world, stage.world.config_path, stage.world.config_path.read_text()
    secret = world.folder / "signing-secret"
    secret.write_text(world.slack.signing_secret)
    secret.chmod(0o600)
    await world.bot.stop()
    path.write_text(before.replace("slack:\n", f"slack:\n  mode: http\n  signing_secret: {{file: {secret}}}\n", 1))
    starts = world.bot.log.read_text().count('"event": "started"')
    try:
        await world.bot.start()
        await stage.until(lambda: world.bot.log.read_text().count('"event": "started"') > starts, "the bot has started")
        url = f"http://127.0.0.1:{await port_of(stage)}/slack/events"
        world.slack.courier.request_url = url

        async def is_heard() -> bool:
            return (await stage.command(ADA, "help")).outcome == "acknowledged"

        await until(is_heard, 60, "the bot answers in time", every_s=1.0)
        await stage.until(lambda: any("deploy" in text for text in stage.ephemerals(ADA)), "the help is shown")
        forged = {"X-Slack-Signature": "v0=" + "0" * 64, "X-Slack-Request-Timestamp": str(int(time.time()))}
        body = {"command": "/forge", "text": "help"}
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=forged) as refused:
            assert refused.status == 401
    finally:
        world.slack.courier.request_url = None
        await world.bot.stop()
        path.write_text(before)
        await world.start_bot()
