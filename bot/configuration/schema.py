"""The form of forge.yaml: what may stand there, with its defaults and its documentation. Border only; inside are frozen dataclasses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bot.configuration.dev_schema import Isolation, Profile
from bot.configuration.policy_schema import Policy
from bot.configuration.postgres_schema import Postgres
from bot.configuration.restore_schema import RestoreChecksSection
from bot.configuration.secret_schema import SecretReference
from runbook import series
from runbook.documents.forms import ImageRepository, Name, Section, Text, form
from runbook.documents.job_sections import JobSection, MigrationSections
from runbook.documents.problems import suggest
from runbook.durations import Duration
from runbook.jobs import SuiteKind
from runbook.values import Environment, Role

Url = Annotated[
    str,
    form(
        r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        "an http or https address without user, query or fragment",
        "https://shop.example",
    ),
]
UrlPath = Annotated[str, form(r"^/[^\s#]*$", "a path that begins with /", "/health/ready")]
Member = Annotated[
    str,
    form(
        r"^([UW][A-Z0-9]{2,20}|S[A-Z0-9]{2,20}|os:[a-z_][a-z0-9_.-]{0,31})$",
        "a Slack user's id (U…), a user group's id (S…) or os:<name>",
        "U0123456789",
    ),
]
Repository = Annotated[str, form(r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", "a repository as owner/name", "acme/shop")]
Prefix = Annotated[str, form(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "a prefix of annotations", "forge.example.com")]
Channel = Annotated[str, form(r"^[CG][A-Z0-9]{2,20}$", "a channel's id, not its name", "C0123456789")]
Team = Annotated[str, form(r"^[TE][A-Z0-9]{2,20}$", "a workspace's id", "T0123456789")]
ScheduleId = Annotated[str, form(r"^[A-Z0-9]{4,32}$", "a schedule's id, not its name", "PI7DH85")]
RepositoryPath = Annotated[
    str,
    form(
        r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
        "a path in the repository, without a slash before it",
        ".forge/release.yaml",
    ),
]
Branch = Annotated[
    str, form(r"^[A-Za-z0-9_][A-Za-z0-9._/-]*$", "a branch's name, without refs/heads/ before it", "main")
]
ImageTag = Annotated[
    str,
    form(
        r"^([A-Za-z0-9_.-]*\{(commit|short)\}[A-Za-z0-9_.-]*)$",
        "a tag with {commit} or {short} in it",
        "sha-{commit}",
    ),
]
Rate = Annotated[float, Field(gt=0, le=1_000_000)]


def _check_metric(name: str) -> str:
    if name not in series.METRICS:
        cause = f"{name} is no recorded metric"
        raise PydanticCustomError("metric", "{cause}", {"cause": cause, "remedy": suggest(name, series.METRICS)})
    return name


def _check_recorded(name: str) -> str:
    return name if name in series.SHIPPED else _check_metric(name)


MetricName = Annotated[str, AfterValidator(_check_metric)]
RecordedName = Annotated[str, AfterValidator(_check_recorded)]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
PublicKey = Annotated[
    str,
    StringConstraints(max_length=5000),
    form(r"^(sk-)?(ssh|ecdsa)-\S+ [A-Za-z0-9+/]+=*( .*)?$", "the one line of a .pub file", "ssh-ed25519 AAAA…"),
]


class Slack(Section):
    channel: Channel = Field(
        description="The release channel's id, such as `C0123456789` (in Slack: the channel's details, at the bottom)."
    )
    incident_channel: Channel | None = Field(
        default=None, description="The channel of incidents; default: the release channel."
    )
    team: Team = Field(
        description="The workspace's id, such as `T0123456789`. Nobody of another workspace may do anything."
    )
    bot_token: SecretReference = Field(
        default=SecretReference(env="SLACK_BOT_TOKEN"), description="The bot token (`xoxb-…`)."
    )
    app_token: SecretReference = Field(
        default=SecretReference(env="SLACK_APP_TOKEN"), description="The app-level token (`xapp-…`) for Socket Mode."
    )
    signing_secret: SecretReference = Field(
        default=SecretReference(env="SLACK_SIGNING_SECRET"), description="Checks requests in HTTP mode."
    )
    mode: Literal["socket", "http"] = Field(
        default="socket", description="`socket`: forge connects to Slack. `http`: Slack calls `/slack/events`."
    )
    api_url: Url | None = Field(default=None, description="Default: `SLACK_API_URL`, else Slack's own.")


class WorkloadSection(Section):
    name: Name = Field(description="The Deployment's name.")
    container: Name = Field(description="The container whose image is set.")
    image: ImageRepository = Field(
        description="The image's repository without tag or digest, such as `registry.example/acme/web`."
    )
    traffic: Literal["route", "replicas"] = Field(
        default="route",
        description="How production's traffic is divided: `route` by the weights of an HTTPRoute, `replicas` by the number of pods "
        "(workers, and services without a Gateway).",
    )
    route: Name | None = Field(default=None, description="The HTTPRoute; default: the Deployment's name.")
    stable_service: Name | None = Field(
        default=None, description="The Service of the stable pods; default: the Deployment's name."
    )
    canary_service: Name | None = Field(
        default=None, description="The Service of the canary's pods; default: the canary Deployment's name."
    )
    canary: Name | None = Field(default=None, description="The canary Deployment; default: `<name>-canary`.")


class Health(Section):
    live: UrlPath = Field(default="/health/live", description="Path of the liveness probe.")
    ready: UrlPath = Field(default="/health/ready", description="Path of the readiness probe.")
    startup: UrlPath | Literal[""] = Field(
        default="/health/startup", description="Path of the startup probe; empty for none."
    )


class Smoke(Section):
    name: Text = Field(description="What the request proves, in a few words.")
    path: UrlPath = Field(description="Path under the service's address.")
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="GET", description="The request's method."
    )
    headers: dict[Text, str] = Field(default_factory=dict, description="Sent as they are; no secrets.")
    body: dict[str, Any] | None = Field(default=None, description="Sent as JSON.")
    token: Text | None = Field(
        default=None, description="Name of one of the service's `secrets`, sent as `Authorization: Bearer`."
    )
    statuses: list[Annotated[int, Field(ge=100, le=599)]] = Field(
        default=[200], min_length=1, description="Which status codes are right."
    )
    json_subset: dict[str, Any] = Field(
        default_factory=dict, description="Every key must be in the answer's JSON with an equal value."
    )
    body_contains: str = Field(default="", description="Text that the answer must contain.")
    timeout: Duration = Field(default=5.0, description="Without an answer within it the request has failed.")
    optional: bool = Field(default=False, description="A 404 is as good as a pass.")


class SuiteSection(Section):
    name: Name = Field(description="What people read; unique within the service.")
    kind: SuiteKind = Field(description="What the suite proves.")
    job: JobSection = Field(
        description="Exit code 0 passes; JUnit XML in its output is counted, and a failed test in it fails the suite."
    )


class TargetSection(Section):
    """What the service should reach under the load profile; what is left out is not judged."""

    p50: Duration | None = Field(default=None, description="Half of the requests are answered within it.")
    p95: Duration | None = Field(default=None, description="95 % of the requests are answered within it.")
    p99: Duration | None = Field(default=None, description="99 % of the requests are answered within it.")
    throughput: Rate | None = Field(default=None, description="Answered requests per second.")

    @model_validator(mode="after")
    def _some(self) -> TargetSection:
        if all(value is None for value in (self.p50, self.p95, self.p99, self.throughput)):
            remedy = "Name at least one of p50, p95, p99 and throughput"
            raise PydanticCustomError("target", "without a target nothing is judged", {"remedy": remedy})
        return self


class PerformanceSection(Section):
    job: JobSection = Field(
        description="Makes the load on `FORGE_TARGET_URL` at `FORGE_LOAD_RATE` requests per second for "
        "`FORGE_LOAD_DURATION` seconds, and prints its figures as JSON, or a k6 summary."
    )
    target: TargetSection = Field(description="What is judged, within `policy.performance.tolerance`.")
    rate: Rate = Field(description="Requests per second: the traffic that is usual in production (its p50).")
    duration: Duration = Field(description="How long the load lasts.")


class ServiceSection(Section):
    repository: Repository = Field(description="On GitHub, `owner/name`.")
    workloads: list[WorkloadSection] = Field(min_length=1, description="Deployments, in the order they are deployed.")
    urls: dict[Environment, Url] = Field(min_length=1, description="The service's address in each environment.")
    canary_urls: dict[Environment, Url] = Field(
        default_factory=dict,
        description="An address that reaches the canary alone, where there is one: it is probed there too, at every weight.",
    )
    health: Health = Field(default=Health(), description="Paths of the health endpoints.")
    smoke: list[Smoke] = Field(default_factory=list, description="Requests that must be answered as expected.")
    required_checks: list[Text] = Field(
        default_factory=list, description="Names of CI checks that must be green; empty: all that ran, at least one."
    )
    branch: Branch = Field(default="main", description="What dev runs commits of.")
    image_tag: ImageTag = Field(
        default="{commit}",
        description="The tag that CI gives a commit's images: `{commit}` is its full SHA, `{short}` its first seven digits.",
    )
    dev_suites: list[Name] = Field(
        default_factory=list,
        description="Names of the `suites` that run in dev too; all of them where `policy.criteria.suites.to_staging` is required.",
        json_schema_extra={"uniqueItems": True},
    )
    secrets: dict[Name, SecretReference] = Field(
        default_factory=dict, description="Tokens of the smoke requests, by name."
    )
    release_file: RepositoryPath = Field(
        default=".forge/release.yaml",
        description="The file in the repository, at the tag, that declares the release's migrations.",
    )
    migrations: MigrationSections = Field(
        default_factory=list, description="Migrations of a release whose repository has no release file."
    )
    verification: JobSection | None = Field(
        default=None,
        description="Checks the data's integrity after migrations, where no release file names a Job for it.",
    )
    database: bool = Field(
        default=True,
        description="Whether the service has a database: production then needs a young, restorable backup.",
    )
    restore_checks: RestoreChecksSection = Field(
        default=RestoreChecksSection(), description="What a restored database of it is looked at for."
    )
    restore_switch: JobSection | None = Field(
        default=None,
        description="Takes the service's traffic to a restored database, after its sign-off; without it a person does.",
    )
    restore_sanitise: JobSection | None = Field(
        default=None,
        description="Takes customers' data out of a restored database, before production's may be used in staging.",
    )
    suites: list[SuiteSection] = Field(default_factory=list, description="Test suites, in the order they run.")
    performance: PerformanceSection | None = Field(default=None, description="The performance baseline.")
    without: list[MetricName] = Field(
        default_factory=list,
        description="Recorded metrics that the service doesn't have, such as `queue_depth`: they are not asked.",
        json_schema_extra={"uniqueItems": True},
    )
    expressions: dict[RecordedName, Expression] = Field(
        default_factory=dict, description="PromQL in place of the shipped recording rule, for `forge rules`."
    )


class EnvironmentCluster(Section):
    namespace: Name = Field(description="The namespace of the services in this environment.")
    context: Text | None = Field(default=None, description="The kubeconfig's context; default: its current one.")
    kubeconfig: Text | None = Field(default=None, description="Default: `integrations.kubernetes.kubeconfig`.")
    in_cluster: bool = Field(default=False, description="Use the service account of the pod that forge runs in.")
    host: Url | None = Field(default=None, description="The API server's address, in place of a kubeconfig.")
    token: SecretReference | None = Field(default=None, description="Bearer token for `host`.")
    ca_file: Text | None = Field(default=None, description="Certificate authority for `host`.")

    @model_validator(mode="after")
    def _one_way(self) -> EnvironmentCluster:
        ways = [self.in_cluster, self.host is not None, self.context is not None or self.kubeconfig is not None]
        if sum(ways) > 1:
            raise PydanticCustomError(
                "cluster_ways",
                "in_cluster, host, and context or kubeconfig exclude each other",
                {"remedy": "Keep one of them"},
            )
        if self.host is None and (self.token is not None or self.ca_file is not None):
            raise PydanticCustomError("cluster_ways", "token and ca_file need host", {"remedy": "Add host"})
        return self


class PrometheusSection(Section):
    url: Url = Field(description="Prometheus, or what speaks its query API.")
    token: SecretReference | None = Field(
        default=None, description="Bearer token; default: `PROMETHEUS_TOKEN` where it is set."
    )


class EnvironmentSection(Section):
    kubernetes: EnvironmentCluster = Field(description="Where the services run.")
    prometheus: PrometheusSection | None = Field(default=None, description="Default: `integrations.prometheus`.")
    profile: Profile | None = Field(
        default=None, description="Of dev alone: what its workloads may use at most. `forge doctor` looks."
    )
    isolation: Isolation = Field(
        default=Isolation(),
        description="Of dev alone: that nothing of production is reached from there. `forge doctor` looks.",
    )


class KubernetesIntegration(Section):
    kubeconfig: Text | None = Field(default=None, description="Default: `~/.kube/config`.")
    annotation_prefix: Prefix = Field(
        default="forge", description="Of the annotations and labels that forge sets, such as `forge/run`."
    )


class Github(Section):
    api_url: Url | None = Field(default=None, description="Default: `GITHUB_API_URL`, else GitHub's own.")
    web_url: Url | None = Field(default=None, description="For links; default: derived from the API's address.")
    token: SecretReference | None = Field(
        default=None, description="Access token; default: `GITHUB_TOKEN` where it is set."
    )
    webhook_secret: SecretReference | None = Field(
        default=None,
        description="What GitHub signs its deliveries to `/webhooks/github` with; default: `GITHUB_WEBHOOK_SECRET` where it is set. "
        "Without one the address takes nothing, and branches are asked every `policy.dev.poll`.",
    )


class Registry(Section):
    docker_config: Text | None = Field(
        default=None, description="Credentials as Docker keeps them; default: Docker's own file."
    )
    insecure_hosts: list[Text] = Field(default_factory=list, description="`host[:port]` that speak plain HTTP.")
    trusted_realms: list[Text] = Field(
        default_factory=list, description="Token servers outside a registry's own domain that may be given its login."
    )


class SshSigner(Section):
    principal: Text = Field(description="Who signs: an e-mail address.")
    key: PublicKey = Field(description="The public key, the one line of the `.pub` file.")


class SignersSection(Section):
    ssh: list[SshSigner] = Field(default_factory=list, description="Who may sign tags with SSH keys.")
    gpg: list[Text] = Field(default_factory=list, description="Files with armoured public keys.")


class CiSection(Section):
    token: SecretReference | None = Field(
        default=None,
        description="What CI systems show to `/webhooks/ci` as bearer token; default: `FORGE_CI_TOKEN` where it is set. "
        "Without one the address takes nothing.",
    )


class ScansSection(Section):
    folder: Text | None = Field(
        default=None, description="A folder into which scanners drop their reports (SARIF, Trivy or Grype JSON)."
    )


class Pagerduty(Section):
    schedule: ScheduleId = Field(
        description="The id of the on-call schedule, such as `PI7DH85` (it stands in the schedule's address). Whom it names is "
        "on call, in place of `roles.on_call`."
    )
    token: SecretReference = Field(
        default=SecretReference(env="PAGERDUTY_TOKEN"), description="A read-only API key of PagerDuty's REST API."
    )
    api_url: Url | None = Field(
        default=None, description="Default: `https://api.pagerduty.com`. In the EU: `https://api.eu.pagerduty.com`."
    )


class Integrations(Section):
    kubernetes: KubernetesIntegration = Field(default=KubernetesIntegration(), description="Defaults for all clusters.")
    prometheus: PrometheusSection | None = Field(default=None, description="For environments without their own.")
    github: Github = Field(default=Github(), description="Tags and checks.")
    registry: Registry = Field(default=Registry(), description="Container registries.")
    ci: CiSection = Field(default=CiSection(), description="What CI systems may tell forge.")
    scans: ScansSection = Field(
        default=ScansSection(), description="Security scans, beside those sent to `/webhooks/ci`."
    )
    pagerduty: Pagerduty | None = Field(default=None, description="Who is on call, by a schedule.")
    postgres: Postgres = Field(
        default=Postgres(), description="Databases that are backed up and measured, and where backups go."
    )
    signers: SignersSection = Field(
        default=SignersSection(), description="Whose signatures on tags count. Nobody's, when both lists are empty."
    )


class Server(Section):
    host: Text = Field(
        default="127.0.0.1", description="Where health, metrics and Slack's HTTP mode are served. In a pod: `0.0.0.0`."
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(default=8080, description="0: any free port.")


class Audit(Section):
    key: SecretReference = Field(
        default=SecretReference(env="FORGE_AUDIT_KEY"),
        description="Ed25519 private key (PEM); `forge audit keygen` makes one.",
    )
    checkpoints: list[Text] = Field(
        default_factory=list, description="Folders for signed checkpoints, best where the bot can't rewrite."
    )
    earlier_keys: list[Text] = Field(
        default_factory=list,
        description="Public keys of before the key was changed, each a file with PEM or the PEM itself: checkpoints and backups "
        "that were signed with them are believed.",
    )


class File(Section):
    """forge.yaml."""

    slack: Slack = Field(description="The workspace and the release channel.")
    roles: dict[Role, list[Member]] = Field(
        default_factory=dict,
        description="Who holds which role: users (`U…`), user groups (`S…`), and for the command line `os:<name>`. "
        "An absent or empty list allows nobody.",
    )
    services: dict[Name, ServiceSection] = Field(min_length=1, description="What is deployed.")
    environments: dict[Environment, EnvironmentSection] = Field(min_length=1, description="Where it is deployed.")
    integrations: Integrations = Field(default=Integrations(), description="The outside systems.")
    server: Server = Field(default=Server(), description="The bot's own HTTP server.")
    audit: Audit = Field(default=Audit(), description="The audit log.")
    policy: Policy = Field(default=Policy(), description="The runbook's numbers; every default is the runbook's.")
    notice: Annotated[str, StringConstraints(max_length=300)] = Field(
        default="", description='Shown with every run, such as "durations are shortened".'
    )
