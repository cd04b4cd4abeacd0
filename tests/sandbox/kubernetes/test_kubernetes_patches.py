"""Strategic merges, directive by directive, and JSON patches."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.kubernetes import ApiError
from sandbox.kubernetes.patches import json_patch, merge_patch, strategic_merge

POD: dict[str, Any] = {
    "metadata": {"finalizers": ["a/x"], "labels": {"a": "1", "b": "2"}},
    "spec": {
        "containers": [{"name": "web", "image": "w:1", "args": ["-v"]}, {"name": "proxy", "image": "p:1"}],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "conf", "configMap": {"name": "c"}}],
        "tolerations": [{"key": "k"}],
    },
}


def containers(patch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    merged = strategic_merge(POD, {"spec": {"containers": patch}})
    return [dict(entry) for entry in merged["spec"]["containers"]]


def test_a_named_element_is_merged_and_the_others_stay() -> None:
    assert containers([{"name": "web", "image": "w:2"}]) == [
        {"name": "web", "image": "w:2", "args": ["-v"]},
        {"name": "proxy", "image": "p:1"},
    ]


def test_an_unknown_element_is_added_and_one_marked_for_deletion_goes() -> None:
    names = [entry["name"] for entry in containers([{"name": "log"}, {"name": "web", "$patch": "delete"}])]
    assert names == ["proxy", "log"]


def test_a_list_can_be_replaced_whole() -> None:
    assert containers([{"$patch": "replace"}, {"name": "only"}]) == [{"name": "only"}]


def test_the_order_follows_the_directive_and_unknown_elements_stay_behind() -> None:
    patch = {
        "spec": {"$setElementOrder/containers": [{"name": "proxy"}], "containers": [{"name": "proxy", "image": "p:2"}]}
    }
    merged = strategic_merge(POD, patch)
    assert [entry["image"] for entry in merged["spec"]["containers"]] == ["p:2", "w:1"]


def test_lists_without_a_merge_key_are_replaced_and_finalizers_are_joined() -> None:
    merged = strategic_merge(POD, {"spec": {"tolerations": [{"key": "n"}]}, "metadata": {"finalizers": ["b/y"]}})
    assert merged["spec"]["tolerations"] == [{"key": "n"}]
    assert merged["metadata"]["finalizers"] == ["a/x", "b/y"]


def test_null_removes_a_field_and_primitives_can_be_deleted_from_a_list() -> None:
    patch = {"metadata": {"labels": {"a": None}, "$deleteFromPrimitiveList/finalizers": ["a/x"]}}
    merged = strategic_merge(POD, patch)
    assert merged["metadata"] == {"finalizers": [], "labels": {"b": "2"}}


def test_a_map_can_be_replaced_or_restricted_to_keys() -> None:
    volumes = [{"name": "tmp", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]
    merged = strategic_merge(
        POD, {"spec": {"volumes": volumes}, "metadata": {"labels": {"$patch": "replace", "c": "3"}}}
    )
    assert merged["spec"]["volumes"][0] == {"name": "tmp", "hostPath": {"path": "/x"}}
    assert merged["metadata"]["labels"] == {"c": "3"}


def test_service_ports_merge_by_their_port() -> None:
    service = {"spec": {"ports": [{"port": 80, "targetPort": 1}, {"port": 81}]}}
    merged = strategic_merge(service, {"spec": {"ports": [{"port": 80, "targetPort": 2}]}}, {"ports": "port"})
    assert merged["spec"]["ports"] == [{"port": 80, "targetPort": 2}, {"port": 81}]


def test_an_element_without_its_key_is_a_bad_request() -> None:
    with pytest.raises(ApiError, match="does not contain declared merge key: name") as error:
        containers([{"image": "w:2"}])
    assert error.value.code == 400


def test_a_merge_never_changes_what_it_was_given() -> None:
    before = repr(POD)
    strategic_merge(POD, {"spec": {"containers": [{"name": "web", "image": "x"}]}})
    merge_patch(POD, {"spec": None})
    json_patch(POD, [{"op": "remove", "path": "/spec/containers/0"}])
    assert repr(POD) == before


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ([{"op": "remove", "path": "/spec/nothing"}], 422),
        ([{"op": "test", "path": "/metadata/labels/a", "value": "9"}], 422),
        ([{"op": "leap", "path": "/spec"}], 400),
        ({"op": "add"}, 400),
    ],
)
def test_a_json_patch_that_cannot_be_applied_is_refused(patch: Any, code: int) -> None:
    with pytest.raises(ApiError) as error:
        json_patch(POD, patch)
    assert error.value.code == code
