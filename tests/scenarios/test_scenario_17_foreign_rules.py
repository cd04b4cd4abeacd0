"""Scenario 17, on the whole bot: the integration's own way of reading and patching a route, on a document that others write, too."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonpatch

from integrations.kubernetes.traffic import RouteTraffic
from runbook.errors import Conflict
from runbook.ports import Share, TrafficTarget
from runbook.rules.traffic import REPLICAS
from tests.integrations.kubernetes.kubernetes_traffic import route
from tests.runbook.fake_traffic import FakeRoute, Write
from tests.runbook.fakes import FakeCluster
from tests.scenarios.production import QUICK, SIZE, ProductionWorld, production
from tests.scenarios.two_tracks import CANARY

Json = dict[str, Any]


class DocumentRoutes(RouteTraffic):
    """An API server with one route, accepted at once. intruders: what somebody else does between our next reads and writes."""

    def __init__(self, document: Json) -> None:
        super().__init__(None, "shop", "kubectl -n shop")  # type: ignore[arg-type]
        self.document = document
        self.intruders: list[Any] = []
        self.conflicts = 0
        self.written: list[Json] = []
        self.document["metadata"]["resourceVersion"] = "1"
        self.accept()

    async def _read(self, name: str) -> Json | None:
        return copy.deepcopy(self.document) if name == "web" else None

    async def _patch(self, name: str, changes: list[Json]) -> Json:
        if self.intruders:
            self.intruders.pop(0)(self.document["spec"])
            self.bumped()
        wanted: Json = jsonpatch.apply_patch(self.document, changes)
        if wanted["metadata"]["resourceVersion"] != self.document["metadata"]["resourceVersion"]:
            self.conflicts += 1
            raise Conflict("kubernetes", "conflict", "the object has been modified")
        self.document = wanted
        self.written.append(copy.deepcopy(wanted["spec"]))
        self.bumped()
        return copy.deepcopy(self.document)

    def bumped(self) -> None:
        metadata = self.document["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        metadata["generation"] = int(metadata.get("generation", 1)) + 1
        self.accept()

    def accept(self) -> None:
        generation = self.document["metadata"].setdefault("generation", 1)
        condition = {"type": "Accepted", "status": "True", "reason": "Accepted", "observedGeneration": generation}
        resolved = {**condition, "type": "ResolvedRefs", "reason": "ResolvedRefs"}
        self.document["status"] = {
            "parents": [{"parentRef": {"name": "edge"}, "controllerName": "edge", "conditions": [condition, resolved]}]
        }


@dataclass
class DocumentedCluster(FakeCluster):
    """The route is a document; everything else is as it was."""

    documents: DocumentRoutes = field(default_factory=lambda: DocumentRoutes(route()))

    async def share(self, target: TrafficTarget) -> Share | None:
        return await (super().share(target) if target.driver == REPLICAS else self.documents.share(target))

    async def set_weight(self, target: TrafficTarget, weight: int) -> Share:
        if target.driver == REPLICAS:
            return await super().set_weight(target, weight)
        before = len(self.documents.written)
        share = await self.documents.set_weight(target, weight)
        if len(self.documents.written) > before:
            self.moved.append(Write(self.clock.now(), "weight web", weight, self.live("web").available))
            self.routes["web"] = FakeRoute(100 - weight, weight, self.clock.now())
        return share


def documented() -> tuple[ProductionWorld, DocumentRoutes]:
    world = ProductionWorld()
    known = world.cluster
    cluster = DocumentedCluster(
        known.clock, lives=known.lives, deployments=known.deployments, kubectl=known.kubectl, moved=known.moved
    )
    world.use(cluster)
    return world, cluster.documents


def with_weight(spec: Json, weight: int) -> Json:
    """The same with our two weights alone set anew, in both rules that have them."""
    wanted = copy.deepcopy(spec)
    for rule in wanted["rules"]:
        names = {ref["name"] for ref in rule["backendRefs"]}
        for ref in rule["backendRefs"] if {"web", "web-canary"} <= names else ():
            ref["weight"] = {"web": 100 - weight, "web-canary": weight}.get(ref["name"], ref["weight"])
    return wanted


async def test_the_httproute_has_foreign_rules_and_backends_and_the_write_meets_a_409_only_our_two_weights_change(
    tmp_path: Path,
) -> None:
    world, routes = documented()

    def somebody_else(spec: Json) -> None:
        spec["rules"][0]["backendRefs"][0]["weight"] += 1
        spec["hostnames"].append(f"shop-{len(spec['hostnames'])}.example")

    async with production(tmp_path, world=world, policy=QUICK) as s:
        await s.begins()
        specs = []
        for weight in (5, 25, 100):
            routes.intruders = [somebody_else, somebody_else]
            await s.until_at(f"Observe {weight} %")
            specs.append(routes.document["spec"])
            assert routes.intruders == []
        routes.intruders = [somebody_else]
        s.tracks.fails(CANARY, 0.3)
        assert await s.ends() == "returned"
        assert s.weights == [5, 25, 100, 0]
        assert routes.conflicts == 7
        first = route()["spec"]
        for seen, weight in zip(routes.written, s.weights, strict=True):
            assert seen == with_weight(seen, weight)
        final = routes.document["spec"]
        assert final["rules"][0]["backendRefs"][0]["weight"] == first["rules"][0]["backendRefs"][0]["weight"] + 7
        assert len(final["hostnames"]) == 8, "what the others wrote is kept"
        assert (
            with_weight(
                {**final, "hostnames": first["hostnames"], "rules": [first["rules"][0], *final["rules"][1:]]}, 0
            )
            == first
        )
        assert s.replicas() == {"web": SIZE, "worker": SIZE}


async def test_a_weight_that_somebody_else_has_set_meanwhile_is_not_overwritten_on_the_way_up(tmp_path: Path) -> None:
    world, routes = documented()
    async with production(tmp_path, world=world, policy=QUICK) as s:
        await s.rolls_out_to(5)
        routes.document["spec"] = with_weight(routes.document["spec"], 40)
        routes.bumped()
        assert await s.ends() == "returned"
        assert s.weights == [5, 0]
        assert "somebody else has changed it" in s.run().ending_reason
        assert routes.document["spec"] == route()["spec"]
