"""Scenario 30."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.records import Run
from tests.scenarios.stage import Stage, offered, stage

NASTY: dict[str, tuple[str, str]] = {
    "a mention of the channel": ("deploy staging <!channel>", "is no version"),
    "a mention of everyone as a command": ("<!everyone>", "is no command"),
    "a mention with a label": ("deploy <!here|@here> v1.4.0-rc.2", "is no environment"),
    "a mention of a person": ("approve <@UADA|ada>", "is no run"),
    "a mention of a group": ("deploy staging <!subteam^S123|@oncall>", "is no version"),
    "an escaped mention": ("deploy staging &lt;!channel&gt;", "is no version"),
    "a shell's substitution": ("deploy staging $(rm -rf)", "one word too many"),
    "a shell's substitution in quotes": ('deploy staging "$(rm -rf /)"', "is no version"),
    "a shell's pipe": ("deploy staging v1.4.0-rc.2;reboot", "is no version"),
    "backticks": ("deploy staging `reboot`", "is no version"),
    "10,000 characters": ("deploy staging " + "v" * 9_985, "10,000 characters"),
    "10,000 characters of a reason": ("lock staging --reason " + "x" * 9_978, "10,000 characters"),
    "a control character": ("deploy staging v1.4.0-rc.2\x1b[2J", "control character"),
    "a path": ("deploy staging ../../etc/passwd", "is no version"),
    "SQL": ("deploy staging v1'; DROP TABLE runs; --", "v1"),
    "an open quote": ("lock staging --reason “load test", "A quote isn't closed"),
    "too many words": ("deploy staging v1.4.0-rc.2 now please", "one word too many"),
    "no environment": ("deploy v1.4.0-rc.2", "is no environment"),
    "digits of another script": ("deploy staging v١.٤.٠-rc.٢", "is no version"),
    "letters of another script": ("deploy stаging v1.4.0-rc.2", "is no environment"),
}
UNESCAPED = re.compile(r"<[!@#][^>]*>")


async def assert_nothing_happened(s: Stage) -> None:
    """To the caller alone: nothing in the channel, nothing started, nothing in the audit log."""
    await s.clock.advance(60)
    await s.shown_all()
    assert s.chat.messages == []
    assert len(s.chat.answers) == 1
    assert s.rows(Run) == []
    assert s.actions == []
    assert s.world.cluster.writes == []


@pytest.mark.parametrize("what", NASTY)
async def test_users_write_mentions_or_shell_or_ten_thousand_characters_a_clear_answer_to_them_alone_and_nothing_executed_and_nobody_notified(
    tmp_path: Path, what: str
) -> None:
    text, said = NASTY[what]
    async with stage(tmp_path) as s:
        answer = await s.says("ada", text)
        assert said in answer
        assert not UNESCAPED.search(answer)
        assert len(answer) < 4_000
        assert offered(s.chat.answers[0][1]) == []
        await assert_nothing_happened(s)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("productoin", "prod"), ("prdo", "prod"), ("stagging", "staging"), ("stging", "staging"), ("develop", "dev")],
)
async def test_an_environment_named_productoin_is_answered_with_did_you_mean_prod(
    tmp_path: Path, typed: str, meant: str
) -> None:
    async with stage(tmp_path) as s:
        answer = await s.says("ada", f"deploy {typed} v1.4.0-rc.2")
        assert f"Did you mean {meant}?" in answer
        await assert_nothing_happened(s)


async def test_production_is_an_accepted_alias_of_prod(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        answers = [await s.says("ada", f"plan {name} v1.4.0") for name in ("prod", "production", "Production")]
        assert "has no prod in the configuration" in answers[0]
        assert answers[1] == answers[2] == answers[0]
        assert s.chat.messages == []


@pytest.mark.parametrize(
    "text",
    [
        "deploy staging v1.4.0-rc.2 --reason “it’s time”",
        "deploy\u200b staging v1.4.0\u2011rc.2 —reason=“it’s time”",
        "\ufeffdeploy\u00a0staging\u2003v1.4.0-rc.2 --reason 'it’s time'",
        "DEPLOY Staging v1.4.0-rc.2 —reason «it’s time»",
        "ｄｅｐｌｏｙ staging v1.4.0‐rc.2 --reason=„it’s time“",
    ],
)
async def test_smart_quotes_and_dashes_and_zero_width_characters_are_understood_as_they_were_meant(
    tmp_path: Path, text: str
) -> None:
    async with stage(tmp_path) as s:
        assert "staging-1 has started" in await s.says("ada", text)
        assert (s.run().version, s.run().reason) == ("v1.4.0-rc.2", "it's time")


@pytest.mark.parametrize(
    "reason", ["<!channel> <!here> <@UADA>", "*bold* `code` <https://evil.example|click>", "$(rm -rf /)"]
)
async def test_what_people_give_as_a_reason_is_shown_as_text_and_mentions_nobody(tmp_path: Path, reason: str) -> None:
    async with stage(tmp_path) as s:
        await s.says("ada", f'deploy staging v1.4.0-rc.2 --reason "{reason}"')
        await s.until_state("waiting")
        await s.says("sam", f'reject staging-1 --reason "{reason}"')
        await s.until_state("ended")
        await s.shown_all()
        shown = "\n".join(s.texts) + "\n".join(m.text for _, m in s.chat.answers)
        assert "<!channel>" not in shown
        assert "<!here>" not in shown
        assert "<https://evil.example" not in shown
        for mention in UNESCAPED.findall(shown):
            assert mention in ("<@USAM>", "<@USUE>", "<@UBO>", "<@UOWEN>", "<@UPIA>") or mention.startswith("<!date^")


async def test_a_slip_of_the_pen_is_answered_and_leaves_no_entry_but_a_refusal_does(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.says("ada", "depoly staging v1.4.0-rc.2")
        assert s.actions == []
        await s.says("max", "deploy staging v1.4.0-rc.2")
        assert s.actions == ["refused"]
