"""`/forge metrics` over the real protocols: the answer for the caller, the picture in their direct messages, and the command line."""

from __future__ import annotations

import pytest

from sandbox.serving import until
from sandbox.world.staff import ADA
from tests.whole.stage import Stage
from tests.whole.test_the_running_bot import forge

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def everything_is_recorded(stage: Stage) -> None:
    async def recorded() -> bool:
        said = await forge(stage, "metrics", "staging", "--json")
        return said.code == 0 and said.json["view"]["missing"] == []

    await until(recorded, 150, "every series is recorded", every_s=2.0)  # each look is a process


async def test_the_caller_alone_sees_every_metric_and_a_picture(stage: Stage) -> None:
    await everything_is_recorded(stage)
    workspace = stage.world.slack.workspace
    await stage.command(ADA, "metrics staging")
    await stage.until(lambda: any("*Targets*" in text for text in stage.ephemerals(ADA)), "the answer is there")
    (answer,) = (text for text in stage.ephemerals(ADA) if "*Targets*" in text)
    for words in ("*availability* kept: 100 %", "*error rate*", "*queue lag*", "*CPU utilization*", "*OOM kills*"):
        assert words in answer
    assert "No series" not in answer
    await stage.until(lambda: workspace.files, "the picture is uploaded", within_s=90)
    (picture,) = workspace.files.values()
    assert "requests per second" in picture.alt_text
    assert stage.actors.messages() == []  # the release channel was told nothing


async def test_the_command_line_shows_the_same_and_machines_get_numbers(stage: Stage) -> None:
    await everything_is_recorded(stage)
    said = await forge(stage, "metrics", "staging", COLUMNS="160")  # else a long value wraps the names beside it
    assert said.code == 0
    assert "core transaction success" in said.out
    view = (await forge(stage, "metrics", "staging", "--json")).json["view"]
    assert {target["title"]: target["kept"] for target in view["targets"]} == {
        "availability": True,
        "API p95 latency": True,
        "error rate": True,
    }


async def test_an_environment_without_prometheus_says_so(stage: Stage) -> None:
    said = await forge(stage, "metrics", "dev")
    assert said.code == 1
    assert "no Prometheus for dev" in said.err


async def test_a_prometheus_that_is_down_is_an_answer_with_a_remedy(stage: Stage) -> None:
    await stage.world.set_prometheus("down")
    said = await forge(stage, "metrics", "staging")
    assert said.code == 1
    assert "The metrics can't be read" in said.err
    assert "forge doctor" in said.err
