"""The recording rules that are shipped, judged by the real promtool."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from integrations.prometheus.rules import rules_text
from runbook.series import SHIPPED, recorded
from sandbox.prometheus import find_or_unpack

CASES = Path(__file__).with_name("rules_test.yaml")


def promtool(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = find_or_unpack("prometheus")["promtool"]
    return subprocess.run(
        [str(program), *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("window", ["1m", "30s", "5m", "1h"])
def test_the_rules_are_good_for_every_window(tmp_path: Path, window: str) -> None:
    (tmp_path / "rules.yaml").write_text(rules_text(window))
    checked = promtool("check", "rules", "rules.yaml", folder=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("window", ["1m", "5m"])
def test_every_series_that_is_promised_is_recorded_under_its_name(window: str) -> None:
    names = re.findall(r"- record: (\S+)", rules_text(window))
    assert sorted(names) == sorted(recorded(metric, window) for metric in SHIPPED)


def test_another_window_leaves_nothing_of_the_first_behind() -> None:
    text = rules_text("5m", "30s")
    assert ":1m" not in text
    assert "[1m]" not in text
    assert "interval: 30s" in text


def test_a_window_of_a_minute_is_the_file_as_it_is_shipped() -> None:
    import integrations.prometheus.rules as module

    assert rules_text() == Path(module.__file__).with_name("rules.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("window", ["", "1", "m", "0s", "1m] or up", "-5m", "1.5m"])
def test_what_is_no_duration_is_refused(window: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        rules_text(window)


def test_the_rules_record_what_their_cases_say(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(rules_text())
    (tmp_path / "cases.yaml").write_text(CASES.read_text())
    tested = promtool("test", "rules", "cases.yaml", folder=tmp_path)
    assert tested.returncode == 0, tested.stdout + tested.stderr
