"""HTTPRoutes as kubectl and kubernetes_asyncio see them, and what a gateway says of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from kubernetes_asyncio import client, watch
from kubernetes_asyncio.client import ApiException
from kubernetes_kubectl import Kubectl
from kubernetes_manifests import deployment, eventually
from kubernetes_routes import GROUP, WHERE, accepted, apply_shop, backends, conditions, gateway, route, service

from sandbox.kubernetes import LocalKubernetes, Rule, User

MERGE, JSON, APPLY = "application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml"
WITHIN: dict[str, Any] = {"_request_timeout": 5}


def body_of(error: pytest.ExceptionInfo[ApiException]) -> dict[str, Any]:
    return dict(json.loads(error.value.body or b""))


@pytest.fixture
def custom(api: client.ApiClient) -> Any:
    return client.CustomObjectsApi(api)


@pytest.fixture
async def shop(kubernetes: LocalKubernetes) -> LocalKubernetes:
    apply_shop(kubernetes)
    await eventually(lambda: accepted(kubernetes), "the route is accepted")
    return kubernetes


async def read(custom: Any) -> dict[str, Any]:
    return dict(await custom.get_namespaced_custom_object(*WHERE, **WITHIN))


def weights(obj: dict[str, Any]) -> list[int]:
    return [ref["weight"] for ref in obj["spec"]["rules"][0]["backendRefs"]]


async def test_a_route_is_created_with_its_defaults_and_without_a_status(
    custom: Any, kubernetes: LocalKubernetes
) -> None:
    kubernetes.cluster.ensure_namespace("prod")
    made = route([{"backendRefs": [{"name": "web", "port": 80}]}]) | {"status": {"parents": []}}
    created = await custom.create_namespaced_custom_object(GROUP, "v1", "prod", "httproutes", made, **WITHIN)
    assert (created["metadata"]["generation"], "status" in created) == (1, False)
    assert created["spec"]["parentRefs"] == [{"group": GROUP, "kind": "Gateway", "name": "shop"}]
    (rule,) = created["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    assert rule["backendRefs"] == [{"group": "", "kind": "Service", "name": "web", "port": 80, "weight": 1}]
    listed = await custom.list_namespaced_custom_object(GROUP, "v1", "prod", "httproutes", **WITHIN)
    assert (listed["kind"], [item["kind"] for item in listed["items"]]) == ("HTTPRouteList", ["HTTPRoute"])


async def test_only_a_change_of_the_spec_is_a_new_generation(custom: Any, shop: LocalKubernetes) -> None:
    for patch, generation in (
        ({"metadata": {"annotations": {"note": "hello"}}}, 1),
        ({"spec": {"rules": [{"backendRefs": backends(web=100, web_canary=0)}]}}, 1),
        ({"spec": {"rules": [{"backendRefs": backends(web=95, web_canary=5)}]}}, 2),
    ):
        patched = await custom.patch_namespaced_custom_object(*WHERE, patch, _content_type=MERGE, **WITHIN)
        assert patched["metadata"]["generation"] == generation, patch


async def test_a_stale_version_is_a_conflict_and_a_missing_one_is_invalid(custom: Any, shop: LocalKubernetes) -> None:
    first, second = await read(custom), await read(custom)
    first["spec"]["rules"][0]["backendRefs"] = backends(web=95, web_canary=5)
    await custom.replace_namespaced_custom_object(*WHERE, first, **WITHIN)
    second["spec"]["rules"][0]["backendRefs"] = backends(web=0, web_canary=100)
    with pytest.raises(ApiException) as error:
        await custom.replace_namespaced_custom_object(*WHERE, second, **WITHIN)
    assert (error.value.status, body_of(error)["reason"]) == (409, "Conflict")
    assert body_of(error)["message"].startswith(
        f'Operation cannot be fulfilled on httproutes.{GROUP} "web": the object has been modified'
    )
    stale = {"metadata": {"resourceVersion": second["metadata"]["resourceVersion"]}, "spec": second["spec"]}
    with pytest.raises(ApiException) as error:
        await custom.patch_namespaced_custom_object(*WHERE, stale, _content_type=MERGE, **WITHIN)
    assert error.value.status == 409
    assert weights(await read(custom)) == [95, 5]
    del second["metadata"]["resourceVersion"]
    with pytest.raises(ApiException) as error:
        await custom.replace_namespaced_custom_object(*WHERE, second, **WITHIN)
    assert error.value.status == 422
    assert "metadata.resourceVersion: Invalid value: 0x0: must be specified" in body_of(error)["message"]


async def test_weights_alone_are_changed_by_each_kind_of_patch(custom: Any, shop: LocalKubernetes) -> None:
    change = [
        {"op": "test", "path": "/spec/rules/0/backendRefs/1/name", "value": "web-canary"},
        {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 75},
        {"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 25},
    ]
    patched = await custom.patch_namespaced_custom_object(*WHERE, change, _content_type=JSON, **WITHIN)
    assert weights(patched) == [75, 25]
    whole = {"apiVersion": f"{GROUP}/v1", "kind": "HTTPRoute", "metadata": {"name": "web"}}
    whole["spec"] = {"rules": [{"backendRefs": backends(web=50, web_canary=50)}]}
    applied = await custom.patch_namespaced_custom_object(
        *WHERE, whole, field_manager="test", force=True, _content_type=APPLY, **WITHIN
    )
    assert (weights(applied), applied["spec"]["parentRefs"][0]["name"]) == ([50, 50], "shop")


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ({"name": "web", "port": 80, "weight": 1_000_001}, "weight in body should be less than or equal to 1e+06"),
        ({"name": "web", "port": 80, "weight": -1}, "weight in body should be greater than or equal to 0"),
        ({"name": "web", "port": 80, "weight": "5"}, 'weight in body must be of type integer: "string"'),
        ({"name": "web", "port": 80, "weight": 0.5}, 'weight in body must be of type integer: "number"'),
        ({"port": 80}, "spec.rules[0].backendRefs[0].name: Required value"),
        ({"name": "web", "port": 70_000}, "port in body should be less than or equal to 65535"),
        ({"name": "web"}, "spec.rules[0].backendRefs[0]: Invalid value: \"object\": Must have port for Service reference"),
    ],
)  # fmt: skip
async def test_what_the_definition_forbids_is_invalid(
    ref: dict[str, Any], said: str, custom: Any, shop: LocalKubernetes
) -> None:
    patch = {"spec": {"rules": [{"backendRefs": [ref]}]}}
    with pytest.raises(ApiException) as error:
        await custom.patch_namespaced_custom_object(*WHERE, patch, _content_type=MERGE, **WITHIN)
    assert (error.value.status, body_of(error)["reason"]) == (422, "Invalid")
    assert body_of(error)["message"].startswith(f'HTTPRoute.{GROUP} "web" is invalid: ')
    assert said in body_of(error)["message"]
    assert weights(await read(custom)) == [100, 0]


async def test_more_rules_or_other_words_than_are_allowed_are_invalid(custom: Any, shop: LocalKubernetes) -> None:
    for spec, said in (
        ({"rules": [{"backendRefs": backends(web=1)}] * 17}, "spec.rules: Too many: 17: must have at most 16 items"),
        ({"hostnames": ["Shop_1"]}, "spec.hostnames[0] in body should match"),
        ({"rules": [{"matches": [{"method": "LOOK"}]}]}, 'Unsupported value: "LOOK": supported values: "GET"'),
        ({"rules": {}}, 'spec.rules in body must be of type array: "object"'),
    ):
        with pytest.raises(ApiException) as error:
            await custom.patch_namespaced_custom_object(*WHERE, {"spec": spec}, _content_type=MERGE, **WITHIN)
        assert (error.value.status, said in body_of(error)["message"]) == (422, True), body_of(error)["message"]


async def test_a_status_is_written_apart_and_has_to_be_whole(custom: Any, shop: LocalKubernetes) -> None:
    shop.gateway.freeze()
    before = await read(custom)
    foreign = {"parentRef": {"name": "other"}, "controllerName": "example.test/other"}
    patch = {"status": {"parents": [*before["status"]["parents"], foreign]}, "spec": {"hostnames": ["x.test"]}}
    after = await custom.patch_namespaced_custom_object_status(*WHERE, patch, _content_type=MERGE, **WITHIN)
    assert (after["metadata"]["generation"], after["spec"]) == (1, before["spec"])
    bad = {"status": {"parents": [{"parentRef": {"name": "other"}}]}}
    with pytest.raises(ApiException) as error:
        await custom.patch_namespaced_custom_object_status(*WHERE, bad, _content_type=MERGE, **WITHIN)
    assert "status.parents[0].controllerName: Required value" in body_of(error)["message"]
    shop.gateway.heal()
    shop.apply(route([{"backendRefs": backends(web=1)}]))
    await eventually(lambda: accepted(shop), "the new state is accepted")
    kept = (await read(custom))["status"]["parents"]
    assert "example.test/other" in [each["controllerName"] for each in kept]


async def test_the_gateway_accepts_with_the_generation_it_has_seen(shop: LocalKubernetes) -> None:
    assert conditions(shop) == {"Accepted": ("True", "Accepted", 1), "ResolvedRefs": ("True", "ResolvedRefs", 1)}
    before = shop.get("HTTPRoute", "prod", "web") or {}
    shop.apply(route([{"backendRefs": backends(web=95, web_canary=5)}]))
    assert not accepted(shop)
    await eventually(lambda: accepted(shop), "the weights are accepted")
    after = shop.get("HTTPRoute", "prod", "web") or {}
    times = [obj["status"]["parents"][0]["conditions"][0]["lastTransitionTime"] for obj in (before, after)]
    assert times[0] == times[1], "a status that doesn't change has no new transition"
    (parent,) = after["status"]["parents"]
    assert (parent["parentRef"]["name"], "/" in parent["controllerName"]) == ("shop", True)


async def test_a_missing_service_is_an_unresolved_reference_until_it_is_there(shop: LocalKubernetes) -> None:
    shop.delete("Service", "prod", "web-canary")
    await eventually(lambda: conditions(shop)["ResolvedRefs"][:2] == ("False", "BackendNotFound"), "it is missed")
    assert conditions(shop)["Accepted"][0] == "True"
    followed = shop.gateway.followed["prod", "web"].rules[0].backends
    assert [(each.service, each.selector is None) for each in followed] == [("web", False), ("web-canary", True)]
    shop.apply(service("web-canary", {"app": "web"}))
    await eventually(lambda: accepted(shop), "it is found again")
    shop.apply(route([{"backendRefs": [{"name": "web", "port": 81}]}]))
    await eventually(lambda: conditions(shop)["ResolvedRefs"][1] == "PortNotFound", "the port is missed")
    foreign = {"name": "web", "namespace": "dev", "port": 80}
    shop.apply(route([{"backendRefs": [foreign]}]))
    await eventually(lambda: conditions(shop)["ResolvedRefs"][1] == "RefNotPermitted", "it isn't permitted")


async def test_a_gateway_that_is_frozen_refuses_or_comes_late_changes_no_traffic(shop: LocalKubernetes) -> None:
    def followed() -> list[int]:
        return [each.weight for each in shop.gateway.followed["prod", "web"].rules[0].backends]

    shop.gateway.freeze("web")
    shop.apply(route([{"backendRefs": backends(web=95, web_canary=5)}]))
    await asyncio.sleep(0.1)  # there is nothing to wait for: that it says nothing is the point
    assert (conditions(shop)["Accepted"], followed()) == (("True", "Accepted", 1), [100, 0])
    shop.gateway.heal()
    await eventually(lambda: accepted(shop), "what has waited is accepted")
    assert followed() == [95, 5]

    shop.gateway.refuse("UnsupportedValue", "no such thing")
    shop.apply(route([{"backendRefs": backends(web=75, web_canary=25)}]))
    await eventually(lambda: conditions(shop)["Accepted"] == ("False", "UnsupportedValue", 3), "it is refused")
    assert followed() == [95, 5]
    shop.gateway.heal()
    await eventually(lambda: accepted(shop), "it is accepted after all")

    shop.gateway.delay_s = 10.0  # at fifty times the speed
    shop.apply(route([{"backendRefs": backends(web=50, web_canary=50)}]))
    await eventually(lambda: accepted(shop), "it comes late")
    assert followed() == [50, 50]


async def test_a_route_is_followed_only_through_a_gateway_that_admits_it(kubernetes: LocalKubernetes) -> None:
    told: list[tuple[str, str, bool]] = []
    kubernetes.on_route(lambda namespace, name, found: told.append((namespace, name, found is not None)))
    kubernetes.apply(service("web", {"app": "web"}))
    kubernetes.apply(route([{"backendRefs": backends(web=1)}], parentRefs=[{"name": "edge", "namespace": "infra"}]))
    kubernetes.apply(gateway("edge", "infra"))
    await eventually(lambda: conditions(kubernetes), "the gateway answers")
    assert conditions(kubernetes)["Accepted"][:2] == ("False", "NotAllowedByListeners")
    kubernetes.apply(gateway("edge", "infra", allowedRoutes={"namespaces": {"from": "All"}}))
    await eventually(lambda: accepted(kubernetes), "it is admitted")
    section = [{"name": "edge", "namespace": "infra", "sectionName": "https"}]
    kubernetes.apply(route([{"backendRefs": backends(web=1)}], parentRefs=section))
    await eventually(lambda: conditions(kubernetes)["Accepted"][1] == "NoMatchingParent", "there is no such listener")
    assert told == [("prod", "web", True), ("prod", "web", False)]


async def test_a_watch_shows_the_change_and_then_its_acceptance(custom: Any, shop: LocalKubernetes) -> None:
    listed = await custom.list_namespaced_custom_object(GROUP, "v1", "prod", "httproutes", **WITHIN)
    shop.apply(route([{"backendRefs": backends(web=95, web_canary=5)}]))
    seen: list[int] = []
    async with asyncio.timeout(60), watch.Watch() as stream:
        version = listed["metadata"]["resourceVersion"]
        async for event in stream.stream(
            custom.list_namespaced_custom_object, GROUP, "v1", "prod", "httproutes", resource_version=version
        ):
            seen.append(event["object"]["status"]["parents"][0]["conditions"][0]["observedGeneration"])
            if seen[-1] == 2:
                break
    assert seen == [1, 2]


async def test_kubectl_gets_describes_patches_and_applies_it(shop: LocalKubernetes, kubectl: Kubectl) -> None:
    shop.apply(route(hostnames=["shop.test", "www.shop.test"]))
    lines = (await kubectl.ok("get", "httproutes", "-n", "prod")).splitlines()
    assert lines[0].split() == ["NAME", "HOSTNAMES", "AGE"]
    assert lines[1].split()[:2] == ["web", '["shop.test","www.shop.test"]']
    lines = (await kubectl.ok("get", "gtw", "-n", "prod")).splitlines()
    assert lines[0].split() == ["NAME", "CLASS", "ADDRESS", "PROGRAMMED", "AGE"]
    assert lines[1].split()[:4] == ["shop", "sandbox", "10.96.255.80", "True"]
    await eventually(lambda: accepted(shop), "it is accepted")
    described = await kubectl.ok("describe", "httproute", "web", "-n", "prod")
    for words in ("Kind:         HTTPRoute", "Weight:  100", "Type:                  ResolvedRefs", "Events:"):
        assert words in described
    patch = [{"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 5}]
    await kubectl.ok("patch", "httproute", "web", "-n", "prod", "--type=json", "-p", json.dumps(patch))
    path = "jsonpath={.spec.rules[0].backendRefs[*].weight} {.metadata.generation}"
    assert await kubectl.ok("get", "httproute", "web", "-n", "prod", "-o", path) == "100 5 3"
    changed = json.dumps(route([{"backendRefs": backends(web=75, web_canary=25)}]))
    await kubectl.ok("apply", "-f", "-", stdin=changed)
    assert await kubectl.ok("get", "httproute", "web", "-n", "prod", "-o", path) == "75 25 4"
    wait = "--for=jsonpath={.status.parents[0].conditions[0].observedGeneration}=4"
    await kubectl.ok("wait", "httproute/web", "-n", "prod", wait, "--timeout=10s")
    output = await kubectl("apply", "-f", "-", stdin=changed.replace("25", "-25"))
    assert (output.code, 'The HTTPRoute "web" is invalid' in output.errors) == (1, True)
    await kubectl.ok("delete", "httproute", "web", "-n", "prod")
    await eventually(lambda: not shop.gateway.followed, "it is followed no more")


async def test_rules_of_access_hold_for_routes(kubernetes: LocalKubernetes, shop: LocalKubernetes) -> None:
    rule = Rule(("get", "patch"), ("httproutes",), (GROUP,), ("prod",))
    shop.access.tokens = {"forge": User("forge", rules=(rule,))}
    settings = client.Configuration(host=shop.url, api_key={"BearerToken": "Bearer forge"})
    async with client.ApiClient(settings) as connected:
        reviews: Any = client.AuthorizationV1Api(connected)

        async def may(verb: str, namespace: str) -> bool:
            asked = {"group": GROUP, "resource": "httproutes", "verb": verb, "namespace": namespace}
            body = {"spec": {"resourceAttributes": asked}}
            return bool((await reviews.create_self_subject_access_review(body, **WITHIN)).status.allowed)

        assert [await may("patch", "prod"), await may("update", "prod"), await may("patch", "dev")] == [
            True,
            False,
            False,
        ]
        custom: Any = client.CustomObjectsApi(connected)
        assert weights(await read(custom)) == [100, 0]
        with pytest.raises(ApiException) as error:
            await custom.replace_namespaced_custom_object(*WHERE, await read(custom), **WITHIN)
        assert error.value.status == 403
        assert f'cannot update resource "httproutes" in API group "{GROUP}"' in body_of(error)["message"]


async def test_an_autoscaler_is_listed_and_read(api: client.ApiClient, shop: LocalKubernetes, kubectl: Kubectl) -> None:
    shop.apply(deployment("web", namespace="prod"))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    manifest = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "prod"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 6},
    }
    shop.apply(manifest)
    scalers: Any = client.AutoscalingV2Api(api)
    listed = await scalers.list_namespaced_horizontal_pod_autoscaler("prod", **WITHIN)
    (found,) = listed.items
    assert (found.spec.scale_target_ref.name, found.spec.min_replicas, found.spec.max_replicas) == ("web", 1, 6)
    lines = (await kubectl.ok("get", "hpa", "-n", "prod")).splitlines()
    assert lines[1].split()[:7] == ["web", "Deployment/web", "cpu:", "<unknown>/80%", "1", "6", "0"]
    wrong = {"spec": {"maxReplicas": 0}}
    with pytest.raises(ApiException) as error:
        await scalers.patch_namespaced_horizontal_pod_autoscaler("web", "prod", wrong, _content_type=MERGE, **WITHIN)
    assert "spec.maxReplicas: Invalid value: 0: must be greater than 0" in body_of(error)["message"]
