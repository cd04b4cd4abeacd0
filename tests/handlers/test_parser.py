"""What people type, and what they meant: every text is an intent or a refusal with cause, remedy and the nearest valid word."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.answers import Answer, AnswerKind
from engine.intents import Intent
from handlers.parser import MAX_CHARACTERS, clean_reason, parse_argv, parse_command
from messages.render import Messages
from runbook.commands import COMMANDS
from runbook.values import Environment
from tests.handlers.slack_world import shown_text


def intent(text: str) -> Intent:
    found = parse_command(text)
    assert isinstance(found, Intent), found
    return found


def refusal(text: str) -> Answer:
    found = parse_command(text)
    assert isinstance(found, Answer), found
    assert found.kind is AnswerKind.REFUSED
    return found


@pytest.mark.parametrize(
    "text",
    [
        "deploy staging v1.4.0-rc.2",
        "  deploy   staging  v1.4.0-rc.2 ",
        "DEPLOY Staging v1.4.0-rc.2",
        "deploy stage v1.4.0-rc.2",
        "deploy\u00a0staging v1.4.0-rc.2",
        "dep\u200bloy stag\u2060ing v1.4.0-rc.2\ufeff",
        "deploy staging v1.4.0\u2011rc.2",
        "ｄｅｐｌｏｙ staging ｖ1.4.0-rc.2",
        "deploy staging\nv1.4.0-rc.2",
        "deploy staging <http://v1.4.0-rc.2|v1.4.0-rc.2>",
    ],
)
def test_a_deployment_is_understood_however_it_was_pasted(text: str) -> None:
    found = intent(text)
    assert (found.name, found.environment, found.version) == ("deploy", Environment.STAGING, "v1.4.0-rc.2")


@pytest.mark.parametrize(
    ("text", "environment", "run"),
    [
        ("status", None, ""),
        ("status prod", Environment.PROD, ""),
        ("status production --service shop", Environment.PROD, ""),
        ("status staging-12", None, "staging-12"),
    ],
)
def test_status_is_asked_of_everything_of_an_environment_or_of_a_run(
    text: str, environment: Environment | None, run: str
) -> None:
    assert (intent(text).environment, intent(text).run) == (environment, run)


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ('--reason "load test until noon"', "load test until noon"),
        ("--reason “load test”", "load test"),
        ("—reason ‘don’t touch’", "don't touch"),
        ('--reason="a=b"', "a=b"),
        ("--reason=quick", "quick"),
        ('--reason "said \\"no\\""', 'said "no"'),
        ('--reason "for <@U1|ann> &amp; <#C1|ops>"', "for @ann & #ops"),
        ('--reason "<!channel> <!subteam^S1|@team> hi"', "@channel @team hi"),
        ('--reason "see <https://example.org/a?b=1|there>"', "see there"),
        ('--reason "&lt;!here&gt;"', "<!here>"),
        ('--reason "--service is meant"', "--service is meant"),
        ("--reason 'five o’clock'", "five o'clock"),
    ],
)
def test_a_reason_is_kept_as_it_was_meant(typed: str, reason: str) -> None:
    assert intent(f"lock staging {typed}").reason == reason


@pytest.mark.parametrize(
    ("text", "code", "remedy"),
    [
        ("deplyo staging v1.0.0", "parse.unknown_command", "Did you mean deploy?"),
        ("ship it", "parse.unknown_command", "Did you mean deploy?"),
        ("$(rm -rf)", "parse.unknown_command", "/forge help"),
        ("; rm -rf /", "parse.unknown_command", "/forge help"),
        ("deploy", "parse.missing", "Environments are dev, staging, prod"),
        ("deploy v1.4.0-rc.2", "parse.unknown_environment", "Environments are dev, staging, prod"),
        ("deploy prod", "parse.missing", "/forge deploy staging v1.4.0-rc.2"),
        ("plan prod", "parse.missing", "Usage: /forge plan <env> [version]"),
        ("deploy dev v1.4.0-rc.2", "parse.tag_for_dev", "/forge deploy staging v1.4.0-rc.2"),
        ("deploy v1.4.0-rc.2 dev", "parse.tag_for_dev", "/forge deploy staging v1.4.0-rc.2"),
        ("deploy development v1.4.0", "parse.tag_for_dev", "/forge promote v1.4.0 prod"),
        ("deploy dev abc123", "parse.bad_commit", "Without one it is the newest"),
        ("deploy dev main", "parse.bad_commit", "Example: /forge deploy dev 3f2a91c0d4be"),
        ("plan dev 1.4.0-rc.2", "parse.bad_commit", "Example: /forge plan dev 3f2a91c0d4be"),
        (f"deploy dev {'a' * 41}", "parse.bad_commit", "Without one it is the newest"),
        ("deploy productoin v1.4.0", "parse.unknown_environment", "Did you mean prod?"),
        ("deploy stagign v1.4.0-rc.2", "parse.unknown_environment", "Did you mean staging?"),
        ("deploy staging v1.4.0-rc2", "parse.bad_version", "Did you mean v1.4.0-rc.2?"),
        ("deploy staging 1.4.0-rc.2", "parse.bad_version", "Did you mean v1.4.0-rc.2?"),
        ("deploy staging V1.4.0", "parse.bad_version", "Did you mean v1.4.0?"),
        ("deploy staging latest", "parse.bad_version", "Usage: /forge deploy"),
        ("deploy staging v1.4.0 v1.5.0", "parse.too_many", "Usage: /forge deploy"),
        ("lock staging --reason load test", "parse.too_many", "stands in quotes"),
        ("lock staging --reason", "parse.missing_value", "Usage"),
        ("lock staging --reason --service web", "parse.missing_value", "Usage"),
        ("lock staging --resaon x", "parse.unknown_option", "Did you mean --reason?"),
        ("lock staging --reason a --reason b", "parse.repeated_option", "Usage"),
        ("lock staging --force", "parse.unknown_option", "Usage"),
        ("audit --reason x", "parse.unknown_option", "Usage"),
        ('lock staging --reason "open', "parse.open_quote", "stands in quotes"),
        ("lock staging --service We_b", "parse.bad_service", "Usage"),
        ("status staging12", "parse.bad_run", "Did you mean staging-12?"),
        ("abort 12", "parse.bad_run", "Did you mean staging-12 or prod-12?"),
        ("abort production-7", "parse.bad_run", "Did you mean prod-7?"),
        ("abort staging-0", "parse.bad_run", "/forge status lists them"),
        ("help deply", "parse.unknown_command", "Did you mean deploy?"),
        ("status \x07", "parse.control_character", "instead of pasting"),
        ("status \x1b[31m", "parse.control_character", "instead of pasting"),
        ("promote", "parse.missing", "/forge promote v1.4.0 prod"),
        ("promote prod", "parse.missing", "/forge promote v1.4.0 prod"),
        ("promote v1.4.0", "parse.missing", "Environments are dev, staging, prod"),
        ("promote v1.4 prod", "parse.bad_version", "Usage: /forge promote <version> <env>"),
        ("promote 1.4.0 prod", "parse.bad_version", "Did you mean v1.4.0?"),
        ("promote v1.4.0 produciton", "parse.unknown_environment", "Did you mean prod?"),
        ("promote prod prod", "parse.bad_version", "Usage: /forge promote <version> <env>"),
        ("release v1.4.0", "parse.unknown_command", "Did you mean promote?"),
        ("rolback prod", "parse.unknown_command", "Did you mean rollback"),
        ("revert prod", "parse.unknown_command", "Did you mean rollback"),
        ("rollback", "parse.missing", "Environments are dev, staging, prod"),
        ("rollback prod --to", "parse.missing_value", "Usage: /forge rollback <env> [--to <version>]"),
        ("rollback prod --to 1.3.2", "parse.bad_version", "Did you mean v1.3.2?"),
        ("rollback prod v1.3.2", "parse.too_many", "Usage: /forge rollback <env> [--to <version>]"),
        ("freeze prod --til 3h", "parse.unknown_option", "Did you mean --until?"),
        ("freeze prod --until", "parse.missing_value", "Usage: /forge freeze <env> [--until <time>]"),
        ("freeze prod --until 3h --until 4h", "parse.repeated_option", "Usage"),
        (f"freeze prod --until {'9' * 61}", "parse.bad_time", "2026-12-27"),
        ("incident", "parse.missing", "open, update, resolve, list"),
        ("incident opne prod", "parse.unknown_verb", "Did you mean open?"),
        ("incident close incident-7", "parse.unknown_verb", "Did you mean resolve?"),
        ("incident sing", "parse.unknown_verb", "It can open, update, resolve, list"),
        ("incident open", "parse.missing", "Environments are dev, staging, prod"),
        ("incident open incident-7 --severity 2", "parse.unknown_environment", "Environments are"),
        ("incident open prod --reason slow", "parse.missing_option", "/forge incident open prod --severity 2"),
        ("incident open prod --severity 2", "parse.missing_option", "/forge incident open prod --severity 2"),
        ("incident open prod --severity sev-2", "parse.bad_severity", "Did you mean 2?"),
        ("incident open prod --severity 5", "parse.bad_severity", "Usage: /forge incident"),
        ("incident open prod --severity ２x", "parse.bad_severity", "Usage: /forge incident"),
        ("incident update", "parse.missing", "/forge incident update incident-7"),
        ("incident update incident-7", "parse.missing_option", "/forge incident update incident-7"),
        ("incident update 7 --reason x", "parse.bad_incident", "Did you mean incident-7?"),
        ("incident resolve INC-7", "parse.bad_incident", "Did you mean incident-7?"),
        ("incident resolve prod", "parse.bad_incident", "/forge incident list shows them"),
        ("incident resolve incident-7 --severity 2", "parse.unknown_option", "Usage"),
        ("incident resolve incident-7 --service web", "parse.unknown_option", "Usage"),
        ("incident list staging prod", "parse.too_many", "Usage"),
        ("override prod-12", "parse.missing", '/forge override prod-12 "change window"'),
        ("override prod-12 change window", "parse.too_many", '/forge override prod-12 "change window"'),
        ('override prod-12 ""', "parse.bad_gate", "as the run's card names it"),
        (f"override prod-12 {'g' * 81}", "parse.bad_gate", "--reason"),
        ("override prod 12", "parse.bad_run", "Usage: /forge override <run> <gate>"),
        ("oncal", "parse.unknown_command", "Did you mean oncall?"),
        ("oncall prod", "parse.too_many", "Usage: /forge oncall"),
        ("checklist", "parse.missing", "/forge checklist staging-12"),
        ("report prod", "parse.bad_run", "/forge status lists them"),
        ("x" * 10_000, "parse.too_long", "Keep the reason short"),
        (f'lock staging --reason "{"y" * 600}"', "parse.reason_too_long", "Shorten it"),
    ],
)
def test_what_cant_be_understood_is_refused_with_the_way_out(text: str, code: str, remedy: str) -> None:
    found = refusal(text)
    assert found.code == code
    assert remedy in found.remedy
    assert found.text


def test_nothing_at_all_is_a_question_for_help() -> None:
    assert intent("").name == "help"
    assert intent("  ").name == "help"
    assert intent("--help").name == "help"
    assert (intent("deploy --help").name, intent("deploy --help").topic) == ("help", "deploy")


def test_production_is_named_or_it_is_not_meant() -> None:
    assert intent("deploy prod v1.4.0").environment is Environment.PROD
    assert intent("deploy production v1.4.0").environment is Environment.PROD
    for command in COMMANDS:
        found = parse_command(command.name)
        assert not isinstance(found, Intent) or found.environment is None


@pytest.mark.parametrize("text", ["promote v1.4.0 prod", "promote prod v1.4.0", "PROMOTE v1.4.0 production"])
def test_a_promotion_is_understood_in_either_order(text: str) -> None:
    found = intent(text)
    assert (found.name, found.environment, found.version) == ("promote", Environment.PROD, "v1.4.0")


@pytest.mark.parametrize("name", ["deploy", "plan"])
@pytest.mark.parametrize("commit", ["3f2a91c", "3F2A91C0D4BE", "1234567", "a" * 40])
def test_dev_takes_a_commit_by_seven_to_forty_digits(name: str, commit: str) -> None:
    for text in (f"{name} dev {commit}", f"{name} {commit} development"):
        found = intent(text)
        assert (found.name, found.environment, found.version) == (name, Environment.DEV, commit.lower())


@pytest.mark.parametrize("name", ["deploy", "plan"])
@pytest.mark.parametrize("environment", ["dev", "staging"])
def test_what_goes_to_dev_and_staging_need_not_be_named(name: str, environment: str) -> None:
    found = intent(f"{name} {environment} --service web")
    assert (found.environment, found.version, found.service) == (Environment(environment), "", "web")


def test_a_deployment_is_understood_with_its_version_first() -> None:
    found = intent("deploy v1.4.0-rc.2 staging")
    assert (found.environment, found.version) == (Environment.STAGING, "v1.4.0-rc.2")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("rollback prod", {}),
        ("rollback prod --to v1.3.2", {"to": "v1.3.2"}),
        ("rollback prod —to=v1.3.2 --reason x", {"to": "v1.3.2"}),
        ("rollback prod --to v1.4.0\u2011rc.2", {"to": "v1.4.0-rc.2"}),
        ("freeze prod", {}),
        ("freeze prod --until 3h", {"until": "3h"}),
        ("freeze prod --until 2026\u201312\u201327", {"until": "2026-12-27"}),
        ('freeze prod --until "2026-12-27 18:00"', {"until": "2026-12-27 18:00"}),
        ("freeze prod --until “2026-12-27  18:00”", {"until": "2026-12-27 18:00"}),
        ('override prod-12 "change window"', {"gate": "change window"}),
        ("override prod-12 “change  window” --reason ok", {"gate": "change window"}),
        ("override prod-12 backup", {"gate": "backup"}),
        ('override prod-12 "--odd"', {"gate": "--odd"}),
        ("incident list", {"verb": "list"}),
        ("incident list prod", {"verb": "list"}),
        ('incident OPEN prod --severity 2 --reason "slow"', {"verb": "open", "severity": "2"}),
        ("incident open prod --severity ２ --reason slow", {"verb": "open", "severity": "2"}),
        ("incident update #Incident-7 --reason x", {"verb": "update", "incident": "incident-7"}),
        ("incident update incident-7 --severity 1", {"verb": "update", "incident": "incident-7", "severity": "1"}),
        ("incident resolve incident-7", {"verb": "resolve", "incident": "incident-7"}),
    ],
)
def test_what_else_a_command_was_given_is_kept(text: str, options: dict[str, str]) -> None:
    assert intent(text).options == options


def test_an_incident_is_opened_in_an_environment() -> None:
    found = intent('incident open production --severity 2 --service web --reason "checkout is slow"')
    assert (found.environment, found.service, found.reason) == (Environment.PROD, "web", "checkout is slow")
    assert found.run == ""


def test_every_example_and_usage_of_the_table_is_understood() -> None:
    for command in COMMANDS:
        if command.example:
            assert intent(command.example).name == command.name


def test_the_command_line_is_the_same_grammar() -> None:
    found = parse_argv(["lock", "staging", "--reason", "load test", "--service=web"])
    assert isinstance(found, Intent)
    assert (found.environment, found.reason, found.service) == (Environment.STAGING, "load test", "web")
    wrong = parse_argv(["deploy", "productoin", "v1"])
    assert isinstance(wrong, Answer)
    assert "Usage: forge deploy" in wrong.remedy


def test_a_dialogs_reason_follows_the_same_rules() -> None:
    assert clean_reason("  two\nlines “quoted” ") == 'two lines "quoted"'
    assert isinstance(clean_reason("x" * 501), Answer)
    assert isinstance(clean_reason("\x00"), Answer)


_MARKUP = st.sampled_from(
    [
        "<!channel>",
        "<!here>",
        "<@U1>",
        "&lt;!everyone&gt;",
        "`",
        "*",
        "--reason",
        "--service",
        "--until",
        "--severity",
        '"',
        "'",
        "“",
        "\u202e",
        "\u200b",
    ]
)
_WORDS = st.one_of(
    st.sampled_from([command.name for command in COMMANDS]),
    st.sampled_from(["staging", "prod", "v1.4.0-rc.2", "staging-12", "open", "resolve", "incident-7", "＜!channel＞"]),
    _MARKUP,
    st.text(max_size=30),
)
_MENTION = re.compile(r"<[!@#]|<https?:")


@settings(deadline=None)
@given(st.one_of(st.text(max_size=MAX_CHARACTERS + 5), st.lists(_WORDS, max_size=8).map(" ".join)))
@example("deploy ＜!channel＞ v1")
@example("--")
@example("'")
@example("help \ud800")
@example("abort 99999999999999999999")
@example("abort \u0663")
def test_any_text_is_an_intent_or_a_refusal_that_mentions_nobody(text: str) -> None:
    for found in (parse_command(text), parse_argv(text.split(" "))):
        if isinstance(found, Intent):
            found.text.encode()
            assert len(found.text) <= 500
            assert "\u200b" not in found.reason
            continue
        message = Messages().answer(found)
        for shown in (message.text, shown_text(list(message.blocks))):
            shown.encode()
            assert not _MENTION.search(shown)


def test_the_verbs_of_backups_and_their_options() -> None:
    found = intent("backup run production --kind full --reason before")
    assert (found.name, found.environment, found.options) == (
        "backup", Environment.PROD, {"verb": "run", "kind": "logical"},
    )  # fmt: skip
    assert intent("backup drill prod --kind base").options == {"verb": "drill", "kind": "base"}
    assert intent("backup adopt prod").options == {"verb": "adopt"}
    found = intent("backup hold prod --backup shop-prod-20260302T020000Z-1f3a --reason audit")
    assert found.options == {"verb": "hold", "backup": "shop-prod-20260302T020000Z-1f3a"}
    found = intent('restore staging --at "2026-03-02 17:55" --from prod')
    assert found.options == {"at": "2026-03-02 17:55", "from": "prod"}
    assert intent("signoff prod-7").run == "prod-7"


@pytest.mark.parametrize(
    ("text", "code", "remedy"),
    [
        ("backup", "parse.missing", "One of run, list, verify, drill, hold, release, adopt"),
        ("backup make prod", "parse.unknown_verb", "Did you mean run?"),
        ("backup run", "parse.missing", "Environments are"),
        ("backup run prod --kind weekly", "parse.bad_kind", "Usage"),
        ("backup run prod --backup x", "parse.unknown_option", "Usage"),
        ("backup list prod --kind base", "parse.unknown_option", "Usage"),
        ("backup verify prod --kind base", "parse.unknown_option", "Usage"),
        ("backup adopt prod --backup shop-prod-20260302T020000Z-1f3a", "parse.unknown_option", "Usage"),
        ("backup adopt", "parse.missing", "Environments are"),
        ("backup hold prod --reason x", "parse.missing_option", "/forge backup list <env> shows them"),
        ("backup hold prod --backup x", "parse.missing_option", "Usage"),
        ("backup release prod", "parse.missing_option", "Usage"),
        ("backup drill prod --backup ../x", "parse.bad_backup", "shows them"),
        ("restore prod --at ''", "parse.bad_time", "17:55"),
        ("restore staging --from production2", "parse.unknown_environment", "prod"),
        ("sign-off prod-7", "parse.unknown_command", "help"),
    ],
)
def test_what_is_wrong_about_backups_is_told_with_the_way_out(text: str, code: str, remedy: str) -> None:
    found = refusal(text)
    assert found.code == code
    assert remedy in found.remedy
