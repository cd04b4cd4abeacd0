"""The artifact of production: everything that refuses it, told at once, and what comes of a good one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runbook.errors import Temporary
from runbook.policy import Service, Workload
from runbook.ports import Ports, SignatureCheck
from runbook.procedures.base import Request
from runbook.procedures.preparing import Candidate
from runbook.procedures.promoting import look_at_final
from runbook.rules.overrides import may_override
from runbook.steps import FinalTag, Gate
from runbook.values import Environment, Release
from runbook.verdicts import Outcome, Verdict
from tests.runbook.fakes import COMMIT, RELEASE, RELEASE_FILE, SERVICE, TOOLS, World, digest, setting, signed_tag

FINAL, CANDIDATE = "v1.4.0", RELEASE.version
FINAL_OBJECT = "f" * 40
SHOP = replace(SERVICE, urls={Environment.STAGING: "http://shop.staging", Environment.PROD: "http://shop"})


class Tagged:
    """A registry that knows tags: digest by (repository, tag); the error first."""

    def __init__(self) -> None:
        self.tags = {(i.repository, tag): i.digest for i in RELEASE.images for tag in (CANDIDATE, FINAL)}
        self.tags |= {(repository, CANDIDATE): found for repository, found in TOOLS.items()}
        self.error: Exception | None = None

    async def digest(self, repository: str, tag: str) -> str | None:
        if self.error is not None:
            raise self.error
        return self.tags.get((repository, tag))


class Stage(World):
    def __init__(self) -> None:
        super().__init__()
        self.registry = Tagged()
        self.code.tags[FINAL] = signed_tag(FINAL, tag_object=FINAL_OBJECT)
        self.memory.go = RELEASE
        self.service: Service = SHOP
        here = {Environment.PROD: self.cluster}
        self.ports: Ports = replace(
            self.ports, images=self.registry, clusters=here, metrics={Environment.PROD: self.metrics}
        )

    async def look(self, version: str = FINAL, service: str = "shop") -> tuple[Candidate | None, tuple[Verdict, ...]]:
        request = Request(service=service, environment=Environment.PROD, version=version)
        return await look_at_final(request, setting(service=self.service), self.ports)

    async def refused(self, version: str = FINAL) -> dict[str, Verdict]:
        found, verdicts = await self.look(version)
        assert found is None
        return {v.code: v for v in verdicts if v.outcome != Outcome.PASS and v.binding}


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_good_release_has_the_candidates_digests_and_the_final_tag(stage: Stage) -> None:
    found, verdicts = await stage.look()
    assert found is not None
    assert all(v.outcome == Outcome.PASS for v in verdicts)
    release = found.release
    assert (release.version, release.tag_object, release.commit) == (FINAL, FINAL_OBJECT, COMMIT)
    assert release.images == RELEASE.images
    assert {image.tag for image in release.images} == {CANDIDATE}
    assert found.digests == TOOLS
    assert stage.memory.seen[("shop", FINAL)] == (FINAL_OBJECT, COMMIT)


async def test_a_candidate_is_refused_with_the_remedy_naming_the_final_tag(stage: Stage) -> None:
    verdict = (await stage.refused(CANDIDATE))["version.not_a_release"]
    assert "a candidate, not a release" in verdict.reason
    assert "Promote v1.4.0" in verdict.remedy
    del stage.code.tags[FINAL]
    verdict = (await stage.refused(CANDIDATE))["version.not_a_release"]
    assert "git tag -s v1.4.0" in verdict.remedy


async def test_nonsense_is_refused_though_github_is_silent(stage: Stage) -> None:
    stage.code.error = Temporary("github", "timeout", "no answer")
    verdict = (await stage.refused("latest" * 100))["version.not_a_release"]
    assert len(verdict.reason) < 200


async def test_a_missing_tag_names_the_nearest_releases(stage: Stage) -> None:
    verdict = (await stage.refused("v1.5.0"))["tag.missing"]
    assert "git tag -s v1.5.0" in verdict.remedy
    assert FINAL in verdict.remedy


async def test_an_unknown_service_is_refused(stage: Stage) -> None:
    found, (verdict,) = await stage.look(service="shpo")
    assert found is None
    assert (verdict.code, verdict.remedy) == ("service.unknown", "Did you mean shop?")


async def test_a_commit_without_a_go_is_refused_and_the_last_go_is_named(stage: Stage) -> None:
    stage.memory.go = replace(RELEASE, commit="d" * 40, version="v1.3.9-rc.1")
    verdict = (await stage.refused())["release.no_go"]
    assert "v1.3.9-rc.1" in verdict.remedy
    assert "d" * 12 in verdict.remedy


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        (replace(signed_tag(FINAL), tag_object=None), "tag.lightweight"),
        (replace(signed_tag(FINAL), signature=None), "tag.unsigned"),
        (replace(signed_tag("v1.4.1"), name=FINAL), "tag.payload_mismatch"),
    ],
)
async def test_a_bad_tag_is_refused_and_not_remembered(stage: Stage, tag: Any, code: str) -> None:
    stage.code.tags[FINAL] = tag
    assert code in await stage.refused()
    assert ("shop", FINAL) not in stage.memory.seen


async def test_a_moved_tag_is_refused(stage: Stage) -> None:
    stage.memory.seen[("shop", FINAL)] = ("9" * 40, COMMIT)
    verdict = (await stage.refused())["tag.moved"]
    assert "next version" in verdict.remedy


async def test_every_obstacle_is_told_at_once(stage: Stage) -> None:
    stage.signatures.check = SignatureCheck(False, code="unknown_key", reason="a key that nobody configured")
    stage.registry.tags[RELEASE.images[0].repository, FINAL] = digest("9")
    stage.registry.tags.pop(("registry.example/acme/tests", CANDIDATE))
    stage.code.files[".forge/release.yaml"] = "migrations: 7"
    stage.service = replace(SHOP, urls={Environment.STAGING: "http://shop.staging"})
    assert set(await stage.refused()) == {
        "service.no_url", "tag.unknown_key", "image.digest_changed", "migration.file_invalid",
    }  # fmt: skip


async def test_a_jobs_image_is_asked_for_by_the_candidates_tag(stage: Stage) -> None:
    stage.registry.tags.pop(("registry.example/acme/tests", CANDIDATE))
    stage.registry.tags["registry.example/acme/tests", FINAL] = digest("7")
    assert "image.missing" in await stage.refused()


# --- images -----------------------------------------------------------------------------------------------------------


async def test_another_digest_under_the_final_tag_is_refused(stage: Stage) -> None:
    stage.registry.tags[RELEASE.images[1].repository, FINAL] = digest("9")
    verdict = (await stage.refused())["image.digest_changed"]
    assert f"{RELEASE.images[1].repository}:{FINAL}" in verdict.reason


async def test_another_digest_under_the_candidates_tag_is_refused(stage: Stage) -> None:
    stage.registry.tags[RELEASE.images[1].repository, CANDIDATE] = digest("9")
    assert "image.digest_changed" in await stage.refused()


async def test_without_a_final_tag_in_the_registry_the_candidates_digests_are_deployed_and_that_is_said(
    stage: Stage,
) -> None:
    for image in RELEASE.images:
        del stage.registry.tags[image.repository, FINAL]
    found, verdicts = await stage.look()
    assert found is not None
    assert found.release.images == RELEASE.images
    assert any("the registry has no tag v1.4.0 for web and worker" in v.reason for v in verdicts)


async def test_the_final_tag_alone_is_enough(stage: Stage) -> None:
    for image in RELEASE.images:
        del stage.registry.tags[image.repository, CANDIDATE]
    found, _ = await stage.look()
    assert found is not None


async def test_an_image_that_has_neither_tag_is_refused(stage: Stage) -> None:
    for tag in (FINAL, CANDIDATE):
        del stage.registry.tags[RELEASE.images[0].repository, tag]
    assert "neither" in (await stage.refused())["image.missing"].reason


async def test_a_workload_that_wasnt_in_staging_is_refused(stage: Stage) -> None:
    stage.service = replace(SHOP, workloads=(*SHOP.workloads, Workload("mail", "app", "registry.example/acme/mail")))
    verdict = (await stage.refused())["image.not_proven"]
    assert "mail" in verdict.reason
    assert CANDIDATE in verdict.remedy


# --- names, migrations, configuration ---------------------------------------------------------------------------------


async def test_a_candidate_for_another_version_is_told_and_binds_nobody(stage: Stage) -> None:
    stage.code.tags["v1.5.0"] = signed_tag("v1.5.0")
    for image in RELEASE.images:
        stage.registry.tags[image.repository, "v1.5.0"] = image.digest
    found, verdicts = await stage.look("v1.5.0")
    assert found is not None
    (told,) = [v for v in verdicts if v.code == "release.other_numbers"]
    assert not told.binding


async def test_migrations_are_read_at_the_commit_and_need_a_verification(stage: Stage) -> None:
    stage.code.files[".forge/release.yaml"] = RELEASE_FILE
    found, _ = await stage.look()
    assert found is not None
    assert [m.name for m in found.migrations.migrations] == ["0007-currency", "0008-rename-total", "0009-drop-price"]
    stage.code.files[".forge/release.yaml"] = RELEASE_FILE.replace("verification: {workload: web, args: [verify]}", "")
    assert "migration.no_verification" in await stage.refused()


async def test_the_changes_are_those_since_what_production_runs(stage: Stage) -> None:
    running = replace(RELEASE, version="v1.3.0", commit="d" * 40)

    async def last_go(service: str, environment: Environment) -> Release | None:
        return running if environment is Environment.PROD else RELEASE

    stage.memory.last_go = last_go  # type: ignore[method-assign]
    found, _ = await stage.look()
    assert found is not None
    assert found.changes_url.endswith("/compare/v1.3.0...v1.4.0")


async def test_production_must_be_configured(stage: Stage) -> None:
    stage.ports = replace(stage.ports, clusters={}, metrics={})
    assert {"environment.no_cluster", "environment.no_metrics"} <= set(await stage.refused())


@pytest.mark.parametrize(
    ("workloads", "code"),
    [
        ((Workload("web", "app", "a/web", stable_service="web", canary_service="web"),), "workload.one_service"),
        ((Workload("web", "app", "a/web"), Workload("web-canary", "app", "a/web")), "workload.canary_taken"),
        ((Workload("web", "app", "a/w", canary="c"), Workload("x", "app", "a/x", canary="c")), "workload.canary_taken"),
        ((Workload("web", "app", "a/web"), Workload("web", "side", "a/side")), "workload.twice"),
    ],
)
async def test_a_configuration_that_cant_divide_the_traffic_is_refused(
    stage: Stage, workloads: tuple[Workload, ...], code: str
) -> None:
    stage.service = replace(SHOP, workloads=workloads)
    assert code in await stage.refused()


async def test_a_worker_by_replicas_needs_no_services(stage: Stage) -> None:
    worker = replace(SHOP.workloads[1], traffic="replicas", stable_service="x", canary_service="x")
    stage.service = replace(SHOP, workloads=(SHOP.workloads[0], worker))
    found, _ = await stage.look()
    assert found is not None


async def test_an_outage_is_no_refusal(stage: Stage) -> None:
    stage.registry.error = Temporary("registry", "timeout", "no answer")
    with pytest.raises(Temporary):
        await stage.look()


# --- the gate ---------------------------------------------------------------------------------------------------------


async def asked(stage: Stage) -> dict[str, Verdict]:
    release = replace(RELEASE, version=FINAL, tag_object=FINAL_OBJECT)
    gate = Gate(title="Artifact", checks=(FinalTag("shop", "acme/shop", release),))
    result = await stage.finish(gate.perform(stage.scene()))
    return {v.code: v for v in result.verdicts}


async def test_the_gate_passes_while_tag_digests_and_go_stand(stage: Stage) -> None:
    assert set(await asked(stage)) == {"ok"}


async def test_the_gate_sees_a_moved_tag_a_changed_digest_and_a_lost_go_at_once(stage: Stage) -> None:
    stage.code.tags[FINAL] = signed_tag(FINAL, tag_object="9" * 40)
    stage.registry.tags[RELEASE.images[0].repository, FINAL] = digest("9")
    stage.memory.go = None
    found = await asked(stage)
    assert set(found) == {"tag.moved", "image.digest_changed", "release.go_lost"}
    assert found["tag.moved"].gate == "release tag"
    assert all(may_override(verdict).code == "override.never" for verdict in found.values())


async def test_a_newer_go_with_the_same_images_is_as_good_and_one_with_others_is_not(stage: Stage) -> None:
    stage.memory.go = replace(RELEASE, version="v1.4.0-rc.3")
    assert set(await asked(stage)) == {"ok"}
    stage.memory.go = replace(RELEASE, images=(replace(RELEASE.images[0], digest=digest("5")), RELEASE.images[1]))
    assert "release.other_go" in await asked(stage)


async def test_one_systems_outage_hides_no_other_answer(stage: Stage) -> None:
    stage.registry.error = Temporary("registry", "timeout", "no answer")
    stage.memory.go = None
    found = await asked(stage)
    assert found["registry.timeout"].outcome == Outcome.ERROR
    assert may_override(found["registry.timeout"]).code == "override.never"
    assert "release.go_lost" in found
