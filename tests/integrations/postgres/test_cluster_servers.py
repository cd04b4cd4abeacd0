"""A server for each restore from a template: made with its labels and Secret, restored to over TLS, and removed without touching another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from integrations.http_calls import Limits
from integrations.kubernetes import RESTORE_RIGHTS, Direct
from integrations.kubernetes.restore_objects import RestoreObjects
from integrations.kubernetes.restore_template import RestoreNames, objects, parse
from integrations.postgres.cluster_servers import ClusterServers, ServerTemplate
from integrations.postgres.provided import Mark
from integrations.postgres.provided_restores import ProvidedRestores
from runbook.database_ports import RestoreOrder
from runbook.errors import ForgeError
from runbook.values import Environment
from sandbox.kubernetes import LocalKubernetes, Resource, Rule, User
from sandbox.postgres import USER, LocalPostgres
from tests.integrations.postgres.physical import Site, asks, fill, picture, picture_of
from tests.integrations.postgres.servers import end_all, finder

EXAMPLE = Path(__file__).parents[3] / "examples" / "restore-server.yaml"
QUICK = Limits(timeout_s=15.0, attempts=3, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)
RUN = "forge-prod-12"
PROD = Environment.PROD
SETS = Resource("apps", "v1", "statefulsets", "StatefulSet", subresources=("status",))
CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")


def rules() -> tuple[Rule, ...]:
    found = []
    for right in RESTORE_RIGHTS:
        verb, _, what = right.partition(" ")
        resource, _, group = what.partition(".")
        found.append(Rule((verb,), (resource,), (group,), ("shop",)))
    return tuple(found)


class Controller:
    """Plays the StatefulSet's controller: its claims are made, and its pod is ready. unwell: no pod gets ready."""

    def __init__(self, kubernetes: LocalKubernetes) -> None:
        self._kubernetes = kubernetes
        self.unwell = False
        kubernetes.on_change(self.notice)

    def notice(self, change: str, found: dict[str, Any]) -> None:
        if change == "ADDED" and found["kind"] == "StatefulSet" and not self.unwell:
            asyncio.get_running_loop().call_soon(self._run, found)

    def _run(self, found: dict[str, Any]) -> None:
        name = found["metadata"]["name"]
        for claim in found["spec"]["volumeClaimTemplates"]:
            metadata = {
                "name": f"{claim['metadata']['name']}-{name}-0",
                "namespace": "shop",
                "labels": claim["metadata"]["labels"],
            }
            self._kubernetes.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata})
        self._kubernetes.cluster.mutate(
            SETS, "shop", name, lambda each: each.update(status={"readyReplicas": 1}), subresource="status"
        )


@pytest.fixture
async def kubernetes() -> AsyncIterator[LocalKubernetes]:
    local = LocalKubernetes(time_scale=0.02, tokens={"forge": User("forge", rules=rules())})
    for resource in (SETS, CLAIMS, POLICIES):
        local.register(resource)
    local.cluster.ensure_namespace("shop")
    await local.start()
    yield local
    await local.stop()


@pytest.fixture
def controller(kubernetes: LocalKubernetes) -> Controller:
    return Controller(kubernetes)


@pytest.fixture(scope="module")
def pod() -> Iterator[LocalPostgres]:
    """What runs in the pod."""
    with LocalPostgres(major=15, tcp=True, tls=True) as server:
        yield server


@pytest.fixture
async def namespace(kubernetes: LocalKubernetes) -> AsyncIterator[RestoreObjects]:
    made = RestoreObjects(Direct(kubernetes.url, lambda: "forge"), "shop", limits=QUICK, look_s=0.02)
    yield made
    await made.aclose()


def servers(namespace: RestoreObjects, pod: LocalPostgres, ready_s: float = 100) -> ClusterServers:
    words = (pod.port, USER, "postgres", "verify-full", str(pod.authority), ready_s)
    return ClusterServers(namespace, ServerTemplate(EXAMPLE, "127.0.0.1", *words), lambda _: pod.password)


def left(kubernetes: LocalKubernetes) -> list[str]:
    kinds = ("StatefulSet", "Service", "PersistentVolumeClaim", "Secret", "ConfigMap")
    return [f"{kind} {each['metadata']['name']}" for kind in kinds for each in kubernetes.list(kind, "shop")]


async def test_a_server_of_the_runs_own_is_made_restored_to_and_removed(
    kubernetes: LocalKubernetes, controller: Controller, namespace: RestoreObjects, pod: LocalPostgres, scratch: Path
) -> None:
    with LocalPostgres(major=15) as source:
        fill(source)
        site = Site(source, scratch)
        place = servers(namespace, pod)
        host = ProvidedRestores(site.restores(), finder(), {PROD: lambda: place}, lambda: "one")
        order = RestoreOrder(RUN, await site.logical(), None, PROD)
        await host.fetch(order, site.told.append)
        assert left(kubernetes) == [], "nothing is made before everything was fetched and checked"
        instance = await host.provision(order)
        await host.restore(order, await host.provision(order), site.told.append)
        assert await picture_of(instance) == picture(source)
        assert (instance.host, instance.port) == ("127.0.0.1", pod.port)
        assert asks(pod, "SELECT tableowner FROM pg_tables WHERE tablename = 'customers'", instance.database) == [
            ("shop_app",)
        ]
        assert await host.standing() == (RUN,)
        await host.drop(RUN, PROD)
        assert left(kubernetes) == []
        assert await host.standing() == ()
        await end_all(scratch / "scratch")


async def test_all_of_it_carries_the_run_and_the_secret_the_password(
    kubernetes: LocalKubernetes, controller: Controller, namespace: RestoreObjects, pod: LocalPostgres
) -> None:
    place = servers(namespace, pod)
    await place.at(Mark("one", RUN), 15)
    [secret] = kubernetes.list("Secret", "shop")
    assert "password" in (secret.get("data") or secret.get("stringData"))
    assert secret["metadata"]["name"].startswith("forge-prod-12-")
    for kind in ("StatefulSet", "Service", "PersistentVolumeClaim", "Secret"):
        [found] = kubernetes.list(kind, "shop")
        assert found["metadata"]["labels"]["forge/run"] == "prod-12"
        assert found["metadata"]["labels"]["forge/restore"] == RUN
    [made] = kubernetes.list("StatefulSet", "shop")
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "postgres:15"
    asked = {(each.method, each.path.rsplit("/", 1)[0].rsplit("/", 1)[-1]) for each in kubernetes.requests}
    assert ("GET", "secrets") not in asked


async def test_its_removal_leaves_another_run_and_another_forge_alone(
    kubernetes: LocalKubernetes, controller: Controller, namespace: RestoreObjects, pod: LocalPostgres
) -> None:
    place = servers(namespace, pod)
    await place.at(Mark("one", RUN), 15)
    await place.at(Mark("one", "forge-prod-13"), 15)
    kubernetes.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"ports": [{"port": 80}]},
        }
    )
    with pytest.raises(ForgeError, match="which this restore has not made"):
        await place.at(Mark("two", RUN), 15)
    await place.drop(Mark("two", RUN))
    before = left(kubernetes)
    assert "StatefulSet forge-prod-12" in before
    await place.drop(Mark("one", RUN))
    await place.drop(Mark("one", RUN))
    assert await place.standing("one") == ("forge-prod-13",)
    assert [each for each in left(kubernetes) if "prod-12" in each] == []
    assert "Service web" in left(kubernetes)


async def test_a_pod_that_never_gets_ready_is_told_and_can_be_removed(
    kubernetes: LocalKubernetes, controller: Controller, namespace: RestoreObjects, pod: LocalPostgres
) -> None:
    controller.unwell = True
    place = servers(namespace, pod, ready_s=0.2)
    with pytest.raises(ForgeError, match="was not ready within") as told:
        await place.at(Mark("one", RUN), 15)
    assert told.value.code == "kubernetes.not_ready"
    await place.drop(Mark("one", RUN))
    assert left(kubernetes) == []


def test_the_example_is_what_kubernetes_takes() -> None:
    labels = {"forge/restore": RUN}
    made = list(objects(parse(EXAMPLE.read_text()), RestoreNames("forge-prod-12", "forge-prod-12-abc", labels), 16))
    for each in made:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    assert "$" not in json.dumps(made)
    claims = made[1]["spec"]["volumeClaimTemplates"]
    assert claims[0]["metadata"]["labels"] == labels


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        (("kind: Service", "kind: Pod"), "Pod of v1 is none of"),
        (("kind: StatefulSet", "kind: ClusterRole"), "is none of"),
        (("  name: $NAME\nspec:\n  selector", "  name: restored\nspec:\n  selector"), "has no $NAME"),
        (("  name: $NAME\nspec:\n  selector", "  name: $NAME\n  namespace: kube-system\nspec:\n  selector"), "names a namespace"),
        (("apiVersion: v1\n", "apiVersion: [\n"), "no YAML"),
        (("kind: StatefulSet", "kind: Deployment"), ""),
    ],
)  # fmt: skip
def test_a_template_that_cant_be_used_says_why(changed: tuple[str, str], cause: str) -> None:
    text = EXAMPLE.read_text()
    assert changed[0] in text
    if not cause:
        assert len(parse(text.replace(*changed))) == 2
        return
    with pytest.raises(ForgeError, match="template of servers for restores") as refused:
        parse(text.replace(*changed))
    assert cause in refused.value.cause
