"""The stand-in's answers as kubernetes_asyncio understands them: verbs, patches, conflicts, refusals."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.client import ApiException
from kubernetes_manifests import BETTER, GOOD, SIDECAR, deployment, eventually, image_patch, rolled_out

from sandbox.kubernetes import LocalKubernetes, Resource, Rule, User

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"


def body_of(error: pytest.ExceptionInfo[ApiException]) -> dict[str, Any]:
    return dict(json.loads(error.value.body or b""))


@pytest.fixture
def apps(api: client.ApiClient) -> Any:
    return client.AppsV1Api(api)


@pytest.fixture
def core(api: client.ApiClient) -> Any:
    return client.CoreV1Api(api)


async def test_a_deployment_is_created_read_and_listed(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.cluster.ensure_namespace("dev")
    created = await apps.create_namespaced_deployment("dev", deployment(), _request_timeout=60)
    assert (created.metadata.generation, created.spec.strategy.rolling_update.max_surge) == (1, "25%")
    container = created.spec.template.spec.containers[0]
    assert (container.image_pull_policy, container.readiness_probe.failure_threshold) == ("IfNotPresent", 3)
    await rolled_out(kubernetes)
    read = await apps.read_namespaced_deployment("web", "dev", _request_timeout=60)
    assert read.metadata.uid == created.metadata.uid
    assert (read.status.available_replicas, read.status.observed_generation) == (3, 1)
    listed = await apps.list_deployment_for_all_namespaces(label_selector="app in (web, other)", _request_timeout=60)
    assert [item.metadata.name for item in listed.items] == ["web"]
    assert int(listed.metadata.resource_version) >= int(read.metadata.resource_version)


async def test_a_strategic_merge_keeps_sidecar_ports_and_variables(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    patch = image_patch(BETTER)
    patch["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "B", "value": "3"},
        {"name": "C", "value": "4"},
    ]
    patched = await apps.patch_namespaced_deployment("web", "dev", patch, _content_type=STRATEGIC, _request_timeout=60)
    app, sidecar = patched.spec.template.spec.containers
    assert (app.image, sidecar.image) == (BETTER, SIDECAR)
    assert {variable.name: variable.value for variable in app.env} == {"A": "1", "B": "3", "C": "4"}
    assert app.ports[0].container_port == 8080
    assert app.liveness_probe.http_get.path == "/health/live"
    assert patched.metadata.generation == 2


async def test_a_merge_patch_replaces_lists_and_removes_nulls(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment(minReadySeconds=1))
    containers = [{"name": "web", "image": BETTER}]
    patch = {"spec": {"minReadySeconds": None, "template": {"spec": {"containers": containers}}}}
    patched = await apps.patch_namespaced_deployment("web", "dev", patch, _content_type=MERGE, _request_timeout=60)
    assert [container.image for container in patched.spec.template.spec.containers] == [BETTER]
    assert patched.spec.min_ready_seconds is None


async def test_a_json_patch_is_applied_only_when_its_test_holds(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    path = "/spec/template/spec/containers/0/image"
    change = [{"op": "test", "path": path, "value": GOOD}, {"op": "replace", "path": path, "value": BETTER}]
    patched = await apps.patch_namespaced_deployment("web", "dev", change, _content_type=JSON, _request_timeout=60)
    assert patched.spec.template.spec.containers[0].image == BETTER
    with pytest.raises(ApiException) as error:
        await apps.patch_namespaced_deployment("web", "dev", change, _content_type=JSON, _request_timeout=60)
    assert (error.value.status, body_of(error)["reason"]) == (422, "Invalid")


async def test_a_write_that_changes_nothing_keeps_its_version(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    await rolled_out(kubernetes)
    before = await apps.read_namespaced_deployment("web", "dev", _request_timeout=60)
    patch = image_patch(GOOD)
    after = await apps.patch_namespaced_deployment("web", "dev", patch, _content_type=STRATEGIC, _request_timeout=60)
    assert after.metadata.resource_version == before.metadata.resource_version
    assert after.metadata.generation == 1


async def test_a_put_of_a_stale_version_is_a_conflict(core: Any, kubernetes: LocalKubernetes) -> None:
    meta = {"name": "settings", "namespace": "default"}
    kubernetes.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "1"}})
    first = await core.read_namespaced_config_map("settings", "default", _request_timeout=60)
    second = await core.read_namespaced_config_map("settings", "default", _request_timeout=60)
    first.data["a"] = "2"
    await core.replace_namespaced_config_map("settings", "default", first, _request_timeout=60)
    second.data["a"] = "3"
    with pytest.raises(ApiException) as error:
        await core.replace_namespaced_config_map("settings", "default", second, _request_timeout=60)
    assert error.value.status == 409
    assert body_of(error)["reason"] == "Conflict"
    assert body_of(error)["message"].startswith(
        'Operation cannot be fulfilled on configmaps "settings": the object has'
    )
    assert (await core.read_namespaced_config_map("settings", "default", _request_timeout=60)).data == {"a": "2"}


async def test_a_patch_that_names_a_stale_version_is_a_conflict(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    patch = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 1}}
    with pytest.raises(ApiException) as error:
        await apps.patch_namespaced_deployment("web", "dev", patch, _content_type=MERGE, _request_timeout=60)
    assert error.value.status == 409


async def test_creating_twice_is_already_exists(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    with pytest.raises(ApiException) as error:
        await apps.create_namespaced_deployment("dev", deployment(), _request_timeout=60)
    assert (error.value.status, body_of(error)["reason"]) == (409, "AlreadyExists")
    assert body_of(error)["message"] == 'deployments.apps "web" already exists'


async def test_what_is_missing_is_named(apps: Any, core: Any) -> None:
    with pytest.raises(ApiException) as error:
        await apps.read_namespaced_deployment("web", "default", _request_timeout=60)
    assert body_of(error) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "web" not found',
        "reason": "NotFound",
        "details": {"name": "web", "group": "apps", "kind": "deployments"},
        "code": 404,
    }
    with pytest.raises(ApiException) as error:
        await core.create_namespaced_config_map("nowhere", {"metadata": {"name": "x"}}, _request_timeout=60)
    assert body_of(error)["message"] == 'namespaces "nowhere" not found'


async def test_an_invalid_deployment_is_refused_with_every_cause(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.cluster.ensure_namespace("dev")
    bad = deployment(replicas=-1)
    bad["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    del bad["spec"]["template"]["spec"]["containers"][0]["image"]
    with pytest.raises(ApiException) as error:
        await apps.create_namespaced_deployment("dev", bad, _request_timeout=60)
    status = body_of(error)
    assert (error.value.status, status["reason"], status["details"]["kind"]) == (422, "Invalid", "Deployment")
    fields = {cause["field"]: cause["reason"] for cause in status["details"]["causes"]}
    assert fields == {
        "spec.replicas": "FieldValueInvalid",
        "spec.template.metadata.labels": "FieldValueInvalid",
        "spec.template.spec.containers[0].image": "FieldValueRequired",
    }
    assert status["message"].startswith('Deployment.apps "web" is invalid: [spec.replicas: Invalid value: -1: must be')


async def test_a_selector_cannot_be_changed(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    other = {"app": "other"}
    patch = {"spec": {"selector": {"matchLabels": other}, "template": {"metadata": {"labels": other}}}}
    with pytest.raises(ApiException) as error:
        await apps.patch_namespaced_deployment("web", "dev", patch, _content_type=MERGE, _request_timeout=60)
    assert error.value.status == 422
    assert (
        'spec.selector: Invalid value: {"matchLabels":{"app":"other"}}: field is immutable' in body_of(error)["message"]
    )


async def test_a_value_of_the_wrong_type_is_a_bad_request(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    patch = {"spec": {"replicas": "three"}}
    with pytest.raises(ApiException) as error:
        await apps.patch_namespaced_deployment("web", "dev", patch, _content_type=MERGE, _request_timeout=60)
    assert (error.value.status, body_of(error)["reason"]) == (400, "BadRequest")


async def test_an_unknown_patch_type_and_a_strategic_merge_of_a_custom_kind_are_415(
    api: Any, apps: Any, kubernetes: LocalKubernetes
) -> None:
    kubernetes.apply(deployment())
    with pytest.raises(ApiException) as error:
        await apps.patch_namespaced_deployment("web", "dev", {}, _content_type="application/json", _request_timeout=60)
    assert (error.value.status, body_of(error)["reason"]) == (415, "UnsupportedMediaType")
    route = Resource(
        "gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", is_custom=True, subresources=("status",)
    )
    kubernetes.register(route)
    kubernetes.apply(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "web"},
            "spec": {"a": 1},
        }
    )
    custom: Any = client.CustomObjectsApi(api)
    where = ("gateway.networking.k8s.io", "v1", "default", "httproutes", "web")
    with pytest.raises(ApiException) as error:
        await custom.patch_namespaced_custom_object(*where, {}, _content_type=STRATEGIC, _request_timeout=60)
    assert error.value.status == 415
    patched = await custom.patch_namespaced_custom_object(
        *where, {"spec": {"a": 2}}, _content_type=MERGE, _request_timeout=60
    )
    assert (patched["metadata"]["generation"], patched["spec"]) == (2, {"a": 2})
    status: dict[str, Any] = {"status": {"parents": []}}
    with_status = await custom.patch_namespaced_custom_object_status(
        *where, status, _content_type=MERGE, _request_timeout=60
    )
    assert (with_status["metadata"]["generation"], with_status["status"]) == (2, {"parents": []})


async def test_the_status_and_the_spec_are_written_apart(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment(replicas=1))
    await rolled_out(kubernetes)
    patch = {"spec": {"replicas": 5}, "status": {"conditions": [{"type": "Odd", "status": "True"}]}}
    both = {"_content_type": STRATEGIC, "_request_timeout": 5}
    by_status = await apps.patch_namespaced_deployment_status("web", "dev", patch, **both)
    assert by_status.spec.replicas == 1
    assert "Odd" in [condition.type for condition in by_status.status.conditions]


async def test_the_scale_subresource_reads_and_writes_replicas(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    scale = await apps.read_namespaced_deployment_scale("web", "dev", _request_timeout=60)
    assert (scale.spec.replicas, scale.status.selector) == (3, "app=web")
    patch = {"spec": {"replicas": 1}}
    await apps.patch_namespaced_deployment_scale("web", "dev", patch, _content_type=MERGE, _request_timeout=60)
    await rolled_out(kubernetes)
    found = kubernetes.get("Deployment", "dev", "web")
    assert found is not None
    assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (1, 2)


async def test_a_dry_run_answers_and_changes_nothing(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    dry = {"dry_run": "All", "_content_type": STRATEGIC, "_request_timeout": 5}
    tried = await apps.patch_namespaced_deployment("web", "dev", image_patch(BETTER), **dry)
    assert tried.spec.template.spec.containers[0].image == BETTER
    found = kubernetes.get("Deployment", "dev", "web")
    assert found is not None
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == GOOD


async def test_server_side_apply_creates_and_merges(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.cluster.ensure_namespace("dev")
    how = {"_content_type": "application/apply-patch+yaml", "field_manager": "forge", "_request_timeout": 5}
    await apps.patch_namespaced_deployment("web", "dev", deployment(), **how)
    applied = {"apiVersion": "apps/v1", "kind": "Deployment", **image_patch(BETTER)}
    merged = await apps.patch_namespaced_deployment("web", "dev", applied, **how)
    assert [container.image for container in merged.spec.template.spec.containers] == [BETTER, SIDECAR]


async def test_an_apply_without_a_manager_and_a_create_without_a_namespace_are_refused(
    kubernetes: LocalKubernetes,
) -> None:
    kubernetes.apply(deployment())
    path = "/apis/apps/v1/namespaces/dev/deployments/web"
    headers = {"Content-Type": "application/apply-patch+yaml"}
    async with aiohttp.ClientSession(kubernetes.url) as session:
        async with session.patch(path, data=b"kind: Deployment", headers=headers) as response:
            assert (response.status, (await response.json())["reason"]) == (422, "Invalid")
        async with session.post("/apis/apps/v1/deployments", json=deployment("x")) as response:
            assert (response.status, (await response.json())["reason"]) == (405, "MethodNotAllowed")
        async with session.get("/api/v1/pods", params={"limit": "many"}) as response:
            assert (response.status, (await response.json())["reason"]) == (400, "BadRequest")
        async with session.put(path, data=b"{", headers={"Content-Type": "application/json"}) as response:
            assert (response.status, (await response.json())["reason"]) == (400, "BadRequest")


async def test_a_list_comes_in_pages_and_its_token_expires(core: Any, kubernetes: LocalKubernetes) -> None:
    for number in range(5):
        meta = {"name": f"c{number}", "namespace": "default"}
        kubernetes.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    first = await core.list_namespaced_config_map("default", limit=2, _request_timeout=60)
    assert (len(first.items), first.metadata.remaining_item_count) == (2, 3)
    token = first.metadata._continue
    second = await core.list_namespaced_config_map("default", limit=9, _continue=token, _request_timeout=60)
    assert [item.metadata.name for item in second.items] == ["c2", "c3", "c4"]
    kubernetes.forget_history()
    with pytest.raises(ApiException) as error:
        await core.list_namespaced_config_map("default", limit=2, _continue=token, _request_timeout=60)
    assert (error.value.status, body_of(error)["reason"]) == (410, "Expired")


async def test_selectors_choose_and_unknown_fields_are_refused(core: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    await rolled_out(kubernetes)
    running = await core.list_namespaced_pod("dev", field_selector="status.phase=Running", _request_timeout=60)
    assert len(running.items) == 3
    others = await core.list_namespaced_pod("dev", label_selector="app!=web,!gone", _request_timeout=60)
    assert not others.items
    with pytest.raises(ApiException) as error:
        await core.list_namespaced_pod("dev", field_selector="spec.color=red", _request_timeout=60)
    assert body_of(error)["message"] == "field label not supported: spec.color"


async def test_deleting_in_the_foreground_waits_for_dependents_and_orphans_survive(
    apps: Any, kubernetes: LocalKubernetes
) -> None:
    for name in ("one", "two"):
        kubernetes.apply(deployment(name, replicas=1))
        await rolled_out(kubernetes, name)
    await apps.delete_namespaced_deployment("one", "dev", propagation_policy="Foreground", _request_timeout=60)
    await apps.delete_namespaced_deployment("two", "dev", propagation_policy="Orphan", _request_timeout=60)
    await eventually(lambda: kubernetes.get("Deployment", "dev", "one") is None, "one gone")
    (orphan,) = kubernetes.list("ReplicaSet", "dev")
    assert orphan["metadata"]["name"].startswith("two-")
    assert "ownerReferences" not in orphan["metadata"]
    kubernetes.apply(deployment("two", replicas=1))
    await rolled_out(kubernetes, "two")
    assert len(kubernetes.list("ReplicaSet", "dev")) == 1


async def test_a_deletion_with_a_foreign_uid_is_refused(apps: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="another"))
    with pytest.raises(ApiException) as error:
        await apps.delete_namespaced_deployment("web", "dev", body=options, _request_timeout=60)
    assert error.value.status == 409


async def test_a_lease_is_taken_over_by_one_of_two_writers(api: Any) -> None:
    leases: Any = client.CoordinationV1Api(api)
    body = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}}
    await leases.create_namespaced_lease("default", body, _request_timeout=60)
    seen = await leases.read_namespaced_lease("leader", "default", _request_timeout=60)
    for holder, expected in (("b", 200), ("c", 409)):
        seen.spec.holder_identity = holder
        try:
            await leases.replace_namespaced_lease("leader", "default", seen, _request_timeout=60)
            code = 200
        except ApiException as error:
            code = error.status
        assert code == expected


async def test_logs_are_read_by_container(core: Any, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment(replicas=1))
    await rolled_out(kubernetes)
    name = kubernetes.list("Pod", "dev")[0]["metadata"]["name"]
    kubernetes.log("dev", name, "web", "listening on 8080")
    text = await core.read_namespaced_pod_log(name, "dev", container="web", tail_lines=1, _request_timeout=60)
    assert text == "listening on 8080\n"
    with pytest.raises(ApiException) as error:
        await core.read_namespaced_pod_log(name, "dev", _request_timeout=60)
    assert "choose one of: [web proxy]" in body_of(error)["message"]


async def test_a_secret_given_as_text_is_kept_as_base64(core: Any) -> None:
    body = {"metadata": {"name": "key"}, "stringData": {"k": "v"}}
    await core.create_namespaced_secret("default", body, _request_timeout=60)
    secret = await core.read_namespaced_secret("key", "default", _request_timeout=60)
    assert (secret.data, secret.type, secret.string_data) == ({"k": "dg=="}, "Opaque", None)


class TestAccess:
    """Bearer tokens and rules."""

    READER = User("jane", rules=(Rule(("get", "list"), ("deployments",), ("apps",), ("dev",)),))

    async def _client(self, kubernetes: LocalKubernetes, token: str) -> client.ApiClient:
        configuration = client.Configuration(host=kubernetes.url)
        configuration.api_key = {"BearerToken": f"Bearer {token}"}
        return client.ApiClient(configuration)

    async def test_without_a_known_token_the_answer_is_401(self, kubernetes: LocalKubernetes) -> None:
        kubernetes.access.tokens = {"secret": self.READER}
        async with await self._client(kubernetes, "wrong") as api:
            with pytest.raises(ApiException) as error:
                await client.AppsV1Api(api).list_namespaced_deployment("dev", _request_timeout=60)
        assert error.value.status == 401
        assert body_of(error)["message"] == "Unauthorized"
        assert kubernetes.requests[-1][:4] == ("GET", "/apis/apps/v1/namespaces/dev/deployments", 401, "")

    async def test_what_no_rule_allows_is_403_in_the_real_words(self, kubernetes: LocalKubernetes) -> None:
        kubernetes.apply(deployment())
        kubernetes.access.tokens = {"secret": self.READER}
        async with await self._client(kubernetes, "secret") as api:
            apps: Any = client.AppsV1Api(api)
            assert len((await apps.list_namespaced_deployment("dev", _request_timeout=60)).items) == 1
            with pytest.raises(ApiException) as error:
                await apps.patch_namespaced_deployment(
                    "web", "prod", image_patch(BETTER), _content_type=STRATEGIC, _request_timeout=60
                )
        assert error.value.status == 403
        assert body_of(error)["message"] == (
            'deployments.apps "web" is forbidden: User "jane" cannot patch resource "deployments" in API group "apps" '
            'in the namespace "prod"'
        )
        assert body_of(error)["details"] == {"name": "web", "group": "apps", "kind": "deployments"}
        assert kubernetes.requests[-1].user == "jane"

    async def test_access_reviews_say_what_is_allowed(self, kubernetes: LocalKubernetes) -> None:
        kubernetes.access.tokens = {"secret": self.READER}
        async with await self._client(kubernetes, "secret") as api:
            reviews: Any = client.AuthorizationV1Api(api)
            allowed = {}
            for verb in ("get", "patch"):
                attributes = {"verb": verb, "group": "apps", "resource": "deployments", "namespace": "dev"}
                body = {"spec": {"resourceAttributes": attributes}}
                review = await reviews.create_self_subject_access_review(body, _request_timeout=60)
                allowed[verb] = review.status.allowed
            assert allowed == {"get": True, "patch": False}
            rules = await reviews.create_self_subject_rules_review({"spec": {"namespace": "dev"}}, _request_timeout=60)
            assert rules.status.resource_rules[0].verbs == ["get", "list"]
