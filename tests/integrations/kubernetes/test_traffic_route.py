"""Traffic by an HTTPRoute's weights: against a Kubernetes API over HTTP with a Gateway controller that can be slow, silent or unwilling."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from integrations.http_calls import Limits
from integrations.kubernetes import Direct, KubernetesCluster
from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from runbook.ports import Share
from sandbox.faults import Fault
from sandbox.kubernetes import LocalKubernetes, Rule, User
from tests.integrations.kubernetes.kubernetes_traffic import SERVICES, WEB, WORKER, backends, gateway, route
from tests.integrations.waiting import as_if_waited

QUICK = Limits(timeout_s=15.0, attempts=3, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)
HANGING = Limits(timeout_s=10.0, attempts=2, deadline_s=60.0, first_wait_s=0.01)
ROUTES = "/httproutes/"


@pytest.fixture
async def kubernetes() -> AsyncIterator[LocalKubernetes]:
    local = LocalKubernetes(time_scale=0.05)
    await local.start()
    for manifest in (gateway(), *SERVICES):
        local.apply(manifest)
    yield local
    await local.stop()


@pytest.fixture
async def cluster(kubernetes: LocalKubernetes) -> AsyncIterator[KubernetesCluster]:
    made = KubernetesCluster(Direct(kubernetes.url), "shop", limits=QUICK)
    yield made
    await made.aclose()


async def refusal(call: Awaitable[Any]) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


async def eventually(cluster: KubernetesCluster, fits: Callable[[Share], bool], within_s: float = 60) -> Share:
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        share = await cluster.share(WEB)
        assert share is not None
        if fits(share):
            return share
        assert asyncio.get_running_loop().time() < deadline, share
        await asyncio.sleep(0.01)


def there(kubernetes: LocalKubernetes) -> dict[str, Any]:
    found = kubernetes.get("HTTPRoute", "shop", "web")
    assert found is not None
    return found


# --- weights ----------------------------------------------------------------------------------------------------------


async def test_scenario_17_only_our_two_weights_change_among_foreign_rules_and_backends(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    wanted = copy.deepcopy(kubernetes.apply(route())["spec"])
    kubernetes.faults.add(Fault(method="PATCH", path=ROUTES, status=409))
    await cluster.set_weight(WEB, 25)
    for rule in (1, 2):
        for ref in wanted["rules"][rule]["backendRefs"]:
            ref["weight"] = {"web": 75, "web-canary": 25}.get(ref["name"], ref["weight"])
    assert there(kubernetes)["spec"] == wanted


async def test_a_weight_counts_when_the_router_has_accepted_this_generation(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(route({"backendRefs": backends()}))
    await eventually(cluster, lambda share: share.accepted)
    kubernetes.gateway.freeze()
    share = await cluster.set_weight(WEB, 5)
    assert (share.weight, share.true_ratio, share.accepted) == (5, 0.05, False)
    assert "generation 1, the newest is 2" in share.reason
    kubernetes.gateway.heal()
    share = await eventually(cluster, lambda share: share.accepted)
    assert share == Share(5, 0.05, True, places=share.places)


async def test_setting_the_same_weight_again_writes_nothing(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(route())
    await cluster.set_weight(WEB, 5)
    kubernetes.forget_requests()
    await cluster.set_weight(WEB, 5)
    assert [request.method for request in kubernetes.requests] == ["GET"]
    assert there(kubernetes)["metadata"]["generation"] == 2


async def test_a_write_whose_answer_was_lost_is_not_made_twice(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    """The version in the write is the guard: the repeat meets a conflict, and the next look finds it done."""
    kubernetes.apply(route())
    kubernetes.faults.add(Fault(kind="after", method="PATCH", path=ROUTES))
    share = await cluster.set_weight(WEB, 5)
    assert share.weight == 5
    assert there(kubernetes)["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("stable", "canary", "weight", "ratio"),
    [
        (1, 1, 50, 0.5), (None, None, 50, 0.5), (3, 1, 25, 0.25), (2, 1, None, 1 / 3), (1, 0, 0, 0), (0, 1, 100, 1),
        (0, 0, None, 0), (950, 50, 5, 0.05),
    ],
)  # fmt: skip
async def test_weights_that_are_no_percentage_are_read_as_shares(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, stable: int | None, canary: int | None, weight: int | None, ratio: float
) -> None:  # fmt: skip
    kubernetes.apply(route({"backendRefs": backends(stable, canary)}))
    share = await cluster.share(WEB)
    assert share is not None
    assert share.weight == weight
    assert share.true_ratio == pytest.approx(ratio)


async def test_a_share_that_is_right_in_other_numbers_is_left_as_it_is(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(route({"backendRefs": backends(3, 1)}))
    assert (await cluster.set_weight(WEB, 25)).weight == 25
    assert there(kubernetes)["metadata"]["generation"] == 1


async def test_rules_that_differ_are_somebody_elses_numbers_and_the_larger_share_is_the_true_one(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(route({"backendRefs": backends(95, 5)}, {"backendRefs": backends(60, 40)}))
    share = await cluster.share(WEB)
    assert share is not None
    assert (share.weight, share.true_ratio) == (None, 0.4)
    assert (await cluster.set_weight(WEB, 0)).weight == 0


async def test_the_true_share_counts_foreign_backends_of_the_rule(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(route({"backendRefs": backends(50, 50, assets=100)}))
    share = await cluster.share(WEB)
    assert share is not None
    assert (share.weight, share.true_ratio) == (50, 0.25)


async def test_the_places_of_the_weights_are_told_for_commands(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(route())
    share = await cluster.share(WEB)
    assert share is not None
    place = "/spec/rules/{}/backendRefs/{}/weight".format
    assert share.places == ((place(1, 0), place(1, 1)), (place(2, 1), place(2, 0)))


async def test_backends_of_the_same_name_elsewhere_are_foreign(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    elsewhere = [{**ref, "namespace": "other"} for ref in backends()]
    custom = [{**ref, "group": "example.test", "kind": "Pool"} for ref in backends()]
    kubernetes.apply(route({"backendRefs": elsewhere}, {"backendRefs": custom}, {"backendRefs": backends()}))
    await cluster.set_weight(WEB, 5)
    weights = [[ref["weight"] for ref in rule["backendRefs"]] for rule in there(kubernetes)["spec"]["rules"]]
    assert weights == [[100, 0], [100, 0], [95, 5]]


@pytest.mark.parametrize("weight", [-1, 101])
async def test_what_is_no_percentage_is_never_written(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, weight: int
) -> None:
    kubernetes.apply(route())
    assert (await refusal(cluster.set_weight(WEB, weight))).code == "kubernetes.bad_weight"
    assert there(kubernetes)["metadata"]["generation"] == 1


# --- what the router says ---------------------------------------------------------------------------------------------


async def test_a_route_that_is_refused_is_told_in_the_routers_words(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(route())
    kubernetes.gateway.refuse("UnsupportedValue", "weights over 50 are not supported")
    await cluster.set_weight(WEB, 60)
    share = await eventually(cluster, lambda share: "UnsupportedValue" in share.reason)
    assert not share.accepted
    assert share.reason == "Gateway edge: Accepted is False: UnsupportedValue: weights over 50 are not supported"


async def test_a_backend_that_leads_nowhere_is_not_accepted(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.delete("Service", "shop", "web-canary")
    kubernetes.apply(route())
    share = await eventually(cluster, lambda share: "ResolvedRefs" in share.reason)
    assert not share.accepted
    assert "BackendNotFound" in share.reason


async def test_every_gateway_of_the_route_must_have_accepted_it(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(route(parentRefs=[{"name": "edge"}, {"name": "inside"}]))
    share = await eventually(cluster, lambda share: "edge" not in share.reason)
    assert (share.accepted, share.reason) == (False, "no controller has answered for Gateway inside")
    kubernetes.apply(gateway("inside"))
    await eventually(cluster, lambda share: share.accepted)


async def test_a_route_without_a_gateway_is_in_force_nowhere(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(route(parentRefs=[]))
    share = await cluster.share(WEB)
    assert share is not None
    assert (share.accepted, share.reason) == (False, "the route names no Gateway in parentRefs")


# --- what can't be ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refs", "code", "line", "ratio"),
    [
        ([{"name": "web", "port": 8080}], "no_backend", "- {name: web-canary, port: 8080, weight: 0}", 0),
        ([{"name": "web-canary", "port": 9090}], "no_backend", "- {name: web, port: 9090, weight: 100}", 1),
        ([{"name": "admin", "port": 8080}], "no_backend", "- {name: web-canary, port: …, weight: 0}", 0),
        ([*backends(50, 25), *backends(50, 25)[1:]], "ambiguous", "one backendRef for each", 0.5),
    ],
)
async def test_a_backend_that_is_missing_is_told_with_the_line_to_write(
    kubernetes: LocalKubernetes,
    cluster: KubernetesCluster,
    refs: list[dict[str, Any]],
    code: str,
    line: str,
    ratio: float,
) -> None:
    kubernetes.apply(route({"backendRefs": refs}))
    share = await cluster.share(WEB)
    assert share is not None
    assert (share.code, share.accepted, share.true_ratio) == (code, False, ratio)
    assert line in share.remedy
    error = await refusal(cluster.set_weight(WEB, 5))
    assert isinstance(error, Permanent)
    assert error.code == f"kubernetes.{code}"
    assert line in error.remedy


async def test_a_route_that_is_not_there_is_none_and_can_not_be_set(cluster: KubernetesCluster) -> None:
    assert await cluster.share(WEB) is None
    error = await refusal(cluster.set_weight(WEB, 5))
    assert (type(error), error.code) == (Permanent, "kubernetes.no_route")
    assert "kubectl" in error.remedy


async def test_a_cluster_without_the_gateway_api_is_told_as_such(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.faults.add(Fault(path=ROUTES, status=404, body="404 page not found", times=-1))
    error = await refusal(cluster.share(WEB))
    assert error.code == "kubernetes.no_gateway_api"
    assert "replicas" in error.remedy


# --- troubles of the API ----------------------------------------------------------------------------------------------


async def test_a_storm_of_conflicts_is_ridden_out_within_a_bound(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(route())
    kubernetes.faults.add(Fault(method="PATCH", path=ROUTES, status=409, times=6))
    assert (await cluster.set_weight(WEB, 5)).weight == 5
    kubernetes.faults.add(Fault(method="PATCH", path=ROUTES, status=409, times=-1))
    kubernetes.forget_requests()
    assert isinstance(await refusal(cluster.set_weight(WEB, 25)), Conflict)
    assert len([r for r in kubernetes.requests if r.method == "PATCH"]) <= 10


async def test_writers_beside_us_lose_nothing(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    """Real conflicts: somebody changes the hostnames whenever we have asked for the route."""
    kubernetes.apply(route())

    def asked() -> int:
        return sum(1 for request in kubernetes.requests if request.method == "GET")

    async def busy() -> None:
        for number in range(5):
            async with asyncio.timeout(60):
                while asked() <= number:  # noqa: ASYNC110 - requests are looked at, nobody rings
                    await asyncio.sleep(0)
            changed = there(kubernetes)
            changed["spec"]["hostnames"] = [f"shop{number}.example"]
            kubernetes.apply(changed)
            if setting.done():
                return

    setting = asyncio.ensure_future(cluster.set_weight(WEB, 5))
    writing = asyncio.ensure_future(busy())
    assert (await setting).weight == 5
    await cluster.share(WEB)
    writing.cancel()
    share = await cluster.share(WEB)
    assert share is not None
    assert share.weight == 5
    assert there(kubernetes)["spec"]["hostnames"] != ["shop.example"]


async def test_a_rule_that_went_meanwhile_is_a_conflict_and_no_bad_patch(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    """The patch doesn't fit any more, which the server says before it compares versions."""
    kubernetes.apply(route())

    async def somebody() -> None:
        async with asyncio.timeout(60):
            while not kubernetes.requests:  # noqa: ASYNC110 - requests are looked at, nobody rings
                await asyncio.sleep(0)
            while kubernetes.requests[-1].method != "PATCH":  # noqa: ASYNC110
                await asyncio.sleep(0)
        kubernetes.apply(route({"backendRefs": backends()}))

    kubernetes.faults.add(Fault(kind="delay", method="PATCH", path=ROUTES, delay_s=0.2))
    share, _ = await asyncio.gather(cluster.set_weight(WEB, 5), somebody())
    assert share.weight == 5
    assert [ref["weight"] for ref in there(kubernetes)["spec"]["rules"][0]["backendRefs"]] == [95, 5]


async def test_a_patch_that_is_refused_as_such_is_told(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.apply(route())
    await eventually(cluster, lambda share: share.accepted)
    kubernetes.faults.add(Fault(method="PATCH", path=ROUTES, status=422, times=-1))
    kubernetes.forget_requests()
    assert (await refusal(cluster.set_weight(WEB, 5))).code == "kubernetes.invalid"
    assert len([r for r in kubernetes.requests if r.method == "PATCH"]) == 1


async def test_the_pods_that_both_services_choose_are_told(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    assert await cluster.selectors(WEB) == (
        {"app": "web", "forge/track": "stable"},
        {"app": "web", "forge/track": "canary"},
    )
    kubernetes.delete("Service", "shop", "web-canary")
    assert (await cluster.selectors(WEB))[1] is None
    assert await cluster.selectors(WORKER) == (None, None)
    kubernetes.faults.add(Fault(path="/services/", status=403, times=-1))
    assert "`get services`" in (await refusal(cluster.selectors(WEB))).remedy


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, Permanent, "kubernetes.unauthorized"), (403, Permanent, "kubernetes.forbidden"), (410, Temporary, "kubernetes.gone"),
        (422, Permanent, "kubernetes.invalid"), (429, Temporary, "kubernetes.throttled"), (500, Temporary, "kubernetes.server_error"),
        (503, Temporary, "kubernetes.unavailable"),
    ],
)  # fmt: skip
async def test_every_refusal_is_a_typed_error(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, status: int, kind: type[ForgeError], code: str
) -> None:
    kubernetes.apply(route())
    kubernetes.faults.add(Fault(method="PATCH", path=ROUTES, status=status, times=-1))
    error = await refusal(cluster.set_weight(WEB, 5))
    assert (type(error), error.code) == (kind, code)
    kubernetes.faults.clear()
    kubernetes.faults.add(Fault(method="GET", path=ROUTES, status=status, times=-1))
    assert (await refusal(cluster.share(WEB))).code == code


@pytest.mark.parametrize("kind", ["hang", "garbage", "reset"])
async def test_no_answer_and_garbage_are_typed_errors_in_bounded_time(kubernetes: LocalKubernetes, kind: Any) -> None:
    kubernetes.apply(route())
    cluster = KubernetesCluster(Direct(kubernetes.url), "shop", limits=HANGING)
    fault = kubernetes.faults.add(Fault(kind=kind, path=ROUTES, times=-1))
    setting = refusal(cluster.set_weight(WEB, 5))
    error = await as_if_waited(setting, lambda: fault.struck if kind == "hang" else 0, HANGING.timeout_s)
    # aiohttp itself repeats a GET once on a connection that broke before any byte of the answer
    assert fault.struck <= 2 * HANGING.attempts
    await cluster.aclose()
    assert error.code in ("kubernetes.timeout", "kubernetes.garbage", "kubernetes.connection_lost")


async def test_what_is_no_route_is_garbage(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    bodies: tuple[Any, ...] = (
        {"kind": "HTTPRoute"},
        {"spec": {"rules": [{"backendRefs": 7}]}, "metadata": {}},
        {"spec": []},
    )
    for body in bodies:
        kubernetes.faults.clear()
        kubernetes.faults.add(Fault(method="GET", path=ROUTES, status=200, body=body, times=-1))
        assert (await refusal(cluster.share(WEB))).code == "kubernetes.garbage"


async def test_rights_that_are_missing_are_named() -> None:
    reader = User("reader", rules=(Rule(("get",), ("deployments",), ("apps",), ("shop",)),))
    local = LocalKubernetes(tokens={"t": reader})
    await local.start()
    for manifest in (gateway(), route()):
        local.apply(manifest)
    cluster = KubernetesCluster(Direct(local.url, lambda: "t"), "shop", limits=QUICK)
    error = await refusal(cluster.share(WEB))
    await cluster.aclose()
    await local.stop()
    assert "`get httproutes.gateway.networking.k8s.io`" in error.remedy


async def test_pods_are_another_drivers_business(cluster: KubernetesCluster) -> None:
    assert await cluster.share(WORKER) is None
