"""How people write Jobs and migrations, in forge.yaml and in a release's own file: one form for both, turned into `runbook.jobs`."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from runbook.documents.forms import Name, Section, Variable, form
from runbook.documents.problems import suggest
from runbook.durations import Duration
from runbook.jobs import JobTemplate, Migration, Stage

MOST_SQL_FILES = 100
"""Of one release: each is asked of the code host."""

OWN_IMAGES, WORKLOADS = "own_images", "workloads"
"""Keys of pydantic's validation context. own_images: False refuses `image`; workloads: the names that `workload` may have, absent: any."""

ObjectName = Annotated[
    str,
    form(
        r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
        "the name of a Kubernetes object",
        "web-database",
    ),
]
MigrationName = Annotated[
    str,
    form(
        r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$",
        "a name of at most 40 lower-case letters, digits and hyphens",
        "0042-add-currency",
    ),
]
Cpu = Annotated[
    str, form(r"^[0-9]{1,5}(\.[0-9]{1,3})?$|^[0-9]{1,7}m$", "an amount of CPU as Kubernetes writes it", "500m")
]
Memory = Annotated[str, form(r"^[0-9]{1,15}([KMGT]i?|k)?$", "an amount of memory as Kubernetes writes it", "256Mi")]
Argument = Annotated[str, StringConstraints(max_length=8000)]
PinnedImage = Annotated[
    str,
    form(
        r"^[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(@sha256:[0-9a-f]{64})?$",
        "an image's repository without tag, or with its digest",
        "registry.example/acme/load@sha256:…",
    ),
]


def _inside(path: str) -> str:
    if any(part in ("", ".", "..") for part in path.split("/")):
        remedy = "Write the path from the repository's root, without `..`"
        raise PydanticCustomError("path", "{path} is no path in the repository", {"path": path, "remedy": remedy})
    return path


SqlPath = Annotated[
    str,
    form(r"^[^/\s\\][^\\\x00-\x1f]*$", "a path in the repository, from its root", "migrations/0042_add_currency.sql"),
    AfterValidator(_inside),
]


class JobSection(Section):
    """One container that runs until it ends; exit code 0 is success."""

    workload: Name | None = Field(
        default=None, description="Run the image of this workload of the release. Either this or `image`."
    )
    image: PinnedImage | None = Field(
        default=None,
        description="Run this image: a repository, frozen by digest under the release's tag, or `repository@sha256:…`. "
        "Only in forge.yaml.",
    )
    previous: bool = Field(
        default=False, description="Run the image of `workload` that ran before the release (compatibility checks)."
    )
    command: list[Argument] = Field(default_factory=list, description="In place of the image's entry point.")
    args: list[Argument] = Field(default_factory=list, description="In place of the image's arguments.")
    env: dict[Variable, str] = Field(default_factory=dict, description="Variables with plain values; no secrets.")
    env_from_secrets: list[ObjectName] = Field(
        default_factory=list, description="Secrets in the environment's namespace whose keys become variables."
    )
    env_from_config_maps: list[ObjectName] = Field(
        default_factory=list, description="ConfigMaps in the environment's namespace whose keys become variables."
    )
    service_account: ObjectName | None = Field(default=None, description="Default: the namespace's own.")
    cpu: Cpu | None = Field(default=None, description="Request and limit; default: the namespace's.")
    memory: Memory | None = Field(default=None, description="Request and limit; default: the namespace's.")
    timeout: Duration = Field(
        default=600.0, description="From its start; a Job that runs longer is ended and has failed."
    )
    start_within: Duration = Field(
        default=120.0, description="A Job whose container has not started within it has failed."
    )

    @field_validator("workload")
    @classmethod
    def _require_known(cls, workload: str | None, info: ValidationInfo) -> str | None:
        known = (info.context or {}).get(WORKLOADS)
        if workload is not None and known is not None and workload not in known:
            remedy = suggest(workload, known)
            raise PydanticCustomError(
                "workload", "{name} is no workload of this service", {"name": workload, "remedy": remedy}
            )
        return workload

    @field_validator("image")
    @classmethod
    def _refuse_own_image(cls, image: str | None, info: ValidationInfo) -> str | None:
        if image is not None and (info.context or {}).get(OWN_IMAGES) is False:
            remedy = "Write `workload: <name>`; a Job with an image of its own belongs into forge.yaml"
            raise PydanticCustomError("own_image", "only forge.yaml may name images", {"remedy": remedy})
        return image

    @model_validator(mode="after")
    def _require_one_image(self) -> Self:
        if (self.workload is None) == (self.image is None):
            remedy = "Write `workload: <name>` for the image of a workload of the release, or `image: <repository>`, not both"
            raise PydanticCustomError("job_image", "a Job runs exactly one image", {"remedy": remedy})
        if self.previous and self.workload is None:
            remedy = "Write `workload`, or remove `previous`"
            raise PydanticCustomError("job_previous", "only a workload has a previous image", {"remedy": remedy})
        return self

    def template(self) -> JobTemplate:
        return JobTemplate(
            workload=self.workload or "",
            image=self.image or "",
            previous=self.previous,
            command=tuple(self.command),
            args=tuple(self.args),
            env=dict(self.env),
            env_from_secrets=tuple(self.env_from_secrets),
            env_from_config_maps=tuple(self.env_from_config_maps),
            service_account=self.service_account or "",
            cpu=self.cpu or "",
            memory=self.memory or "",
            timeout_s=self.timeout,
            start_within_s=self.start_within,
        )


class MigrationSection(Section):
    """One migration. Expand runs before the new code; contract is never run by a deployment."""

    name: MigrationName = Field(description="Unique within the release; becomes part of the Jobs' names.")
    stage: Stage = Field(
        description="`expand`: adds what the new code needs, runs before it. `contract`: takes away what no running version "
        "needs any more; no deployment runs it."
    )
    backward_compatible: bool = Field(
        description="Whether the version that ran before works on the schema after it. If not, a way back runs `down`."
    )
    up: JobSection = Field(description="The Job that migrates.")
    down: JobSection | None = Field(
        default=None,
        description="The Job that takes the migration back, the DB rollback plan. An expand migration that is not backward "
        "compatible must have one.",
    )
    sql: list[SqlPath] = Field(
        default_factory=list,
        max_length=50,
        description="Paths in the repository of what `up` executes; a linter holds them against the declaration.",
    )

    @field_validator("up", "down")
    @classmethod
    def _refuse_previous(cls, job: JobSection | None) -> JobSection | None:
        if job is not None and job.previous:
            remedy = "Remove `previous`: the release's own image knows its migrations, up and down"
            raise PydanticCustomError("migration_image", "a migration runs the release's image", {"remedy": remedy})
        return job

    @model_validator(mode="after")
    def _require_way_back(self) -> Self:
        if self.stage is Stage.EXPAND and not self.backward_compatible and self.down is None:
            remedy = "Add `down`, the Job that takes it back, or split it into a compatible expand and a later contract"
            raise PydanticCustomError(
                "migration_down",
                "an expand migration that is not backward compatible has no way back",
                {"remedy": remedy},
            )
        return self

    def migration(self) -> Migration:
        return Migration(
            name=self.name,
            stage=self.stage,
            backward_compatible=self.backward_compatible,
            up=self.up.template(),
            down=None if self.down is None else self.down.template(),
            sql=tuple(self.sql),
        )


def _distinct(sections: list[MigrationSection]) -> list[MigrationSection]:
    names = [section.name for section in sections]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        remedy = "Give every migration a name of its own"
        cause = f"{', '.join(twice)} stands here more than once"
        raise PydanticCustomError("migration_names", "{cause}", {"cause": cause, "remedy": remedy})
    count = len({path for section in sections for path in section.sql})
    if count > MOST_SQL_FILES:
        remedy = f"At most {MOST_SQL_FILES} files: name those that change the schema"
        raise PydanticCustomError("migration_sql", "{count} SQL files are too many", {"count": count, "remedy": remedy})
    return sections


MigrationSections = Annotated[list[MigrationSection], Field(max_length=50), AfterValidator(_distinct)]
"""In the order they run; `down` in the reverse."""
