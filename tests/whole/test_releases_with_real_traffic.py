"""A version's way into production and back, with the whole bot, real traffic behind the route's weights and a real Prometheus."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import pytest
import pytest_asyncio

from sandbox.shop.traffic import MOST_OUTSTANDING
from sandbox.world import short
from sandbox.world.staff import ADA, OLLY
from sandbox.world.workloads import replicas
from tests.whole.releasing import (
    BEFORE,
    FINAL,
    PROD,
    Shares,
    assert_stable_has_everything,
    began,
    end_incidents,
    promote,
    prove,
    uploaded,
)
from tests.whole.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = [
    "Artifact",
    "Workloads deployable",
    "Ready for production",
    "Ship to production",
    "Pre-deployment checklist",
    "Change window, no incident",
    "Announce the start",
    "Remember the images that run now",
    "Remember how many replicas run",
    "Expand migration add-discounts",
    "Verify the data",
    "Start the canary",
    *(
        f"{part}"
        for name, weight in (("Canary", 5), ("Ramp", 25), ("Full rollout", 100))
        for part in (
            f"{name}: {weight} % of the traffic",
            f"Shift {weight} % of the traffic",
            f"Health endpoints and user journeys at {weight} %",
            f"Observe {weight} %",
            f"{name} gate ({weight} %)",
        )
    ),
    "Elevated watch",
    "Completion criteria",
    "Make it stable",
    "Health endpoints and user journeys",
    "Record the release",
    "Confirm the release",
    "Post-deployment checklist",
]
LEAST = 20
"""A workload's requests at each weight; fewer would say nothing of a share."""

MOST_OFF = MOST_OUTSTANDING
"""A round deals exactly, so that its beginning is off by less than one request. Those that were under way when the weight changed are
counted at the new one: no more than customers have at a time, each off by less than one."""

LINE = re.compile(r"^\d+\. :white_check_mark: (.+?) – _", re.MULTILINE)
VOID = {"meta", "img", "br", "hr", "link", "input", "col"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    """The guards take far longer than a phase: what a busy machine's latency would set off is not what these tests are about."""
    tempo = short(observation="5s", guards_for="10m", validates=(), database=False, phase="6s", watch="7s")
    async with Stage(tempo=tempo) as stage:
        await prove(stage)
        yield stage


async def test_a_healthy_release_takes_over_weight_by_weight_and_can_be_rolled_back_afterwards(stage: Stage) -> None:
    shares = [Shares(stage, workload) for workload in stage.world.shop.workloads]
    for each in shares:
        each.begin()
    run = await promote(stage)
    sentence = await stage.until_ended(run, within_s=300)
    assert " – completed" in sentence, f"{sentence}\n{stage.thread(run)[-3000:]}"
    assert LINE.findall(stage.headline(run)) == STEPS
    for each in shares:
        _assert_followed(each)
    assert stage.world.serves(PROD, FINAL)
    assert_stable_has_everything(stage)

    await _is_reported(stage, run)
    await _is_brought_back(stage)


def _assert_followed(shares: Shares) -> None:
    """The weights in their order, and the canary's true share at each."""
    shares.settle()
    rising = [weight for weight in shares.weights if weight]
    assert rising == [5, 25, 100]
    assert shares.weights[-1] == 0
    for weight in rising:
        got, both = shares.requests[weight]
        assert both >= LEAST, f"{shares.workload}: too few requests at {weight} %"
        assert abs(got - both * weight / 100) <= MOST_OFF, f"{shares.workload}: {got:.0f} of {both:.0f} at {weight} %"


async def _is_reported(stage: Stage, run: str) -> None:
    await stage.command(ADA, f"report {run}")
    await stage.until(lambda: uploaded(stage, ".html"), "the report is in the thread", within_s=180)
    page = uploaded(stage, ".html").content.decode()
    reader = Balanced(page)
    assert reader.open == []
    for words in (FINAL, "Full rollout gate (100 %)", "sam", "error rate at 25 %"):
        assert words in reader.text, words
    undrawn = stage.thread(run).count("picture can't be shown")  # a machine may be too busy to draw
    assert reader.pictures + undrawn >= 3, "a picture a weight"
    assert not re.search(r"(?:src|href)=\"https?://(?!127\.0\.0\.1)", page)


async def _is_brought_back(stage: Stage) -> None:
    run = await began(stage, f'rollback {PROD} --reason "customers miss the old tongs"')
    sentence = await stage.until_ended(run)
    assert " – returned" in sentence, sentence
    await stage.until(lambda: stage.world.serves(PROD, BEFORE), f"{BEFORE} serves again")
    assert_stable_has_everything(stage)
    assert set(stage.world.images(PROD).values()) == {BEFORE}


async def test_an_abort_at_the_canary_gives_stable_its_traffic_back(stage: Stage) -> None:
    await end_incidents(stage)
    run = await promote(stage)
    await stage.until_at(run, "Observe 5 %", within_s=200)
    front = stage.world.shop.workloads[-1]
    assert stage.world.production.shrink(front) == replicas(front, PROD), "its autoscaler is kept from it"
    await stage.command(OLLY, f'abort {run} --reason "the wrong day"')
    sentence = await stage.until_ended(run)
    assert " – returned" in sentence
    assert "the wrong day" in sentence
    await stage.until(lambda: stage.world.serves(PROD, BEFORE), "stable serves alone")
    assert_stable_has_everything(stage)
    (scaler,) = stage.world.cluster.list("HorizontalPodAutoscaler", PROD)
    assert (scaler["spec"]["minReplicas"], scaler["metadata"].get("annotations") or {}) == (1, {})


class Balanced(HTMLParser):
    """What stands on a page whose tags have to close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.pictures = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.pictures += tag == "img"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
