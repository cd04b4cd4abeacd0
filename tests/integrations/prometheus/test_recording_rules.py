"""The rules that are shipped, judged by the real promtool."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from integrations.prometheus.rules import rules_text
from runbook.policy import BurnPolicy, MetricsPolicy, Policy, ProdPolicy, prod_windows
from runbook.series import SHIPPED, Windows, recorded_as, recorded_beside
from sandbox.prometheus import find_or_unpack

CASES = sorted(Path(__file__).with_name("cases").glob("*.test.yaml"))
JOINED = ("forge:pods:{window}", "forge:node_pods:{window}")
"""Not measured: other rules are joined with them."""


def promtool(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = find_or_unpack("prometheus")["promtool"]
    return subprocess.run(
        [str(program), *arguments], cwd=folder, capture_output=True, text=True, timeout=170, check=False
    )


@pytest.mark.parametrize("window", ["1m", "30s", "5m", "1h"])
def test_the_rules_are_good_for_every_window(tmp_path: Path, window: str) -> None:
    (tmp_path / "rules.yaml").write_text(rules_text(window))
    checked = promtool("check", "rules", "rules.yaml", folder=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("windows", [Windows(), Windows("5m", "12h", "7d"), Windows("1d", "1m", "2m")])
def test_every_series_that_is_promised_is_recorded_under_its_name(windows: Windows) -> None:
    text = rules_text(windows.window, "15s", windows.baseline, windows.month)
    names = re.findall(r"- record: (\S+)", text)
    joined = [name.format(window=windows.window) for name in JOINED]
    promised = {*(recorded_as(metric, windows) for metric in SHIPPED), *recorded_beside(prod_windows(Policy()))}
    assert sorted(names) == sorted([*promised, *joined])
    read = set(re.findall(r"forge:[a-z_0-9]+:[0-9a-z]+", re.sub(r"- name: \S+", "", text)))
    assert read == set(names)


def test_another_window_leaves_nothing_of_the_first_behind() -> None:
    text = rules_text("5m", "30s", "12h", "7d")
    assert not re.search(r":1m\b|\[1m\]|1d\b|30d\b", text)
    assert set(re.findall(r"interval: (\S+)", text)) == {"30s", "2m"}


@pytest.mark.parametrize(
    ("interval", "slower"), [("15s", "1m"), ("1s", "4s"), ("30s", "2m"), ("1m", "2m"), ("5m", "5m")]
)
def test_what_changes_slowly_is_evaluated_rarely(interval: str, slower: str) -> None:
    intervals = re.findall(r"name: forge:(\S+?):\S+\n +interval: (\S+)", rules_text("1m", interval))
    assert dict(intervals) == {
        "infrastructure": interval,
        "database": interval,
        "fast": interval,
        "budget": interval,
        "baseline": slower,
        "availability": slower,
        "alerts": interval,
    }


@pytest.mark.parametrize(("fast", "short", "long"), [("1m", "1m", "1m"), ("30s", "1m", "2h"), ("1m", "5m", "5m")])
def test_equal_windows_are_recorded_once_and_leave_no_empty_group(
    tmp_path: Path, fast: str, short: str, long: str
) -> None:
    policy = Policy(metrics=MetricsPolicy(fast=fast), prod=ProdPolicy(burn=BurnPolicy(long, short)))
    text = rules_text(policy=policy)
    names = re.findall(r"- record: (\S+)", text)
    assert len(names) == len(set(names))
    assert set(names) >= set(recorded_beside(prod_windows(policy)))
    assert not re.search(r"rules:\n\s*(- name|\Z)", text)
    (tmp_path / "rules.yaml").write_text(text)
    checked = promtool("check", "rules", "rules.yaml", folder=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_windows_of_a_minute_a_day_and_a_month_are_the_file_as_it_is_shipped() -> None:
    import integrations.prometheus.rules as module

    assert rules_text().startswith(Path(module.__file__).with_name("rules.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("window", ["", "1", "m", "0s", "1m] or up", "-5m", "1.5m"])
def test_what_is_no_duration_is_refused(window: str) -> None:
    for windows in ({"window": window}, {"interval": window}, {"baseline": window}, {"month": window}):
        with pytest.raises(ValueError, match="no duration"):
            rules_text(**windows)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no duration"):
        rules_text(policy=Policy(metrics=MetricsPolicy(fast=window)))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name.partition(".")[0])
def test_the_rules_record_and_alert_what_their_cases_say(tmp_path: Path, case: Path) -> None:
    (tmp_path / "rules.yaml").write_text(rules_text())
    (tmp_path / case.name).write_text(case.read_text())
    tested = promtool("test", "rules", case.name, folder=tmp_path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_rule_has_its_case() -> None:
    expressions = re.findall(r"expr: .*|alertname: .*", "".join(case.read_text() for case in CASES))
    told = set(re.findall(r"forge:\w+:\w+|Forge\w+", "\n".join(expressions)))
    text = rules_text()
    assert set(re.findall(r"- (?:record|alert): (\S+)", text)) <= told
