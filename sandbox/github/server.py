"""GitHub's REST API, as far as a release bot reads and writes it, in memory.

Objects, SHAs, tag payloads and signatures are real. It never runs anything: checks are green because a test or the
world says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from sandbox.faults import Fault
from sandbox.github import limits, merging
from sandbox.github.api import Api
from sandbox.github.ci import Ci
from sandbox.github.events import Events
from sandbox.github.gate import gate
from sandbox.github.hooks import EVENTS, Delivery, Hook, Hooks
from sandbox.github.objects import PGP_BEGIN, Person, Tag
from sandbox.github.repository import PullRequest, Release, Repository, Status, UnknownRef, Verification, WorkflowRun
from sandbox.github.views import login
from sandbox.serving import Stand
from sandbox.signing import SshSignature, SshSigner, key_blob

AUTHOR = Person("Ada Lovelace", "ada@example.test")


class LocalGitHub(Stand):
    """One account's view of GitHub.

    token: the one token that may read and write; read_only_token: may only read; contents_token: as
    well, but no code scanning. now: injected for tests of times.
    """

    def __init__(
        self,
        token: str = "ghp_local",  # noqa: S107 - a made-up token of the sandbox
        *,
        read_only_token: str = "ghp_readonly",  # noqa: S107 - as above
        contents_token: str = "ghp_contents",  # noqa: S107 - as above
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self.token = token
        self.read_only_token = read_only_token
        self.contents_token = contents_token
        self.now = now
        self.repositories: dict[str, Repository] = {}
        self.renamed: dict[str, str] = {}
        self.rate = limits.RateLimit()
        self.signing_keys: set[bytes] = set()
        self.hooks = Hooks(lambda: self.now())
        self.events = Events(self.hooks, lambda: self.url)
        self._ci = Ci(self.events, lambda: self.now())

    # What a test or the world does to GitHub

    def repository(self, repo: str) -> Repository:
        """`owner/name`; made when it is new, and empty then."""
        return self.repositories.setdefault(repo, Repository(repo))

    def rename(self, repo: str, new: str) -> None:
        """Rename a repository: its old name answers 301, as GitHub does. Raises KeyError."""
        moved = self.repositories.pop(repo)
        moved.full_name = new
        self.repositories[new] = moved
        self.renamed[repo] = new

    def trust(self, signer: SshSigner) -> None:
        """The signer uploads the key to GitHub: tags from now on are `verified`. It says nothing of our own policy."""
        self.signing_keys.add(key_blob(signer.public_line))

    def commit(
        self,
        repo: str,
        message: str = "A change",
        author: str | Person = AUTHOR,
        *,
        files: Mapping[str, str | bytes | None] | None = None,
        parent: str | None = None,
        parents: tuple[str, ...] = (),
        branch: str | None = "main",
        at: datetime | None = None,
    ) -> str:
        """Commit on top of `parent` (by default the branch's tip) and move the branch; returns the SHA.

        files: what changes against the parent, path -> content (`Link` and `Submodule` too), None deletes. branch: None leaves every ref alone.
        parents: further parents of a merge.
        """
        repository = self.repository(repo)
        tip = parent or (repository.refs.get(f"refs/heads/{branch}") if branch else None)
        tree = dict(repository.files[tip]) if tip else {}
        for path, content in (files or {}).items():
            tree.pop(path, None)
            if content is not None:
                tree[path] = content.encode() if isinstance(content, str) else content
        who = Person.of(author)
        sha = repository.add_commit(message, who, at or self.now(), tree, ((tip,) if tip else ()) + parents)
        if branch:
            self._point(repository, f"refs/heads/{branch}", sha, login(who))
        return sha

    def push(self, repo: str, branch: str, sha: str, by: str = "ada") -> None:
        """Let the branch name a commit that is there: forwards, backwards (a forced push), or a new branch."""
        self._point(self.repository(repo), f"refs/heads/{branch}", sha, by)

    def delete_branch(self, repo: str, branch: str) -> None:
        """Raises KeyError when there is none."""
        self._drop(self.repository(repo), f"refs/heads/{branch}")

    def _point(self, repository: Repository, ref: str, sha: str, by: str) -> None:
        before = repository.refs.get(ref)
        repository.refs[ref] = sha
        self.events.moved(repository, ref, before, sha, by)

    def _drop(self, repository: Repository, ref: str) -> None:
        self.events.moved(repository, ref, repository.refs.pop(ref), None, "ada")

    def tag(
        self,
        repo: str,
        name: str,
        sha: str,
        *,
        annotated: bool = True,
        signer: SshSigner | None = None,
        tagger: str | Person | None = None,
        message: str | None = None,
        signature: str | None = None,
        at: datetime | None = None,
    ) -> str:
        """Make a tag; returns what the ref points at (the tag object's SHA, or the commit's if it is lightweight).

        signer: signs the payload; without one the tag is unsigned. signature: put verbatim instead (a forged or
        foreign one). Raises ValueError when the tag exists (`move_tag` moves), UnknownRef when the target doesn't.
        """
        repository = self.repository(repo)
        ref = f"refs/tags/{name}"
        if ref in repository.refs:
            raise ValueError(f"{repo} has the tag {name} already")
        if sha not in repository.objects:
            raise UnknownRef(sha)
        if not annotated:
            self._point(repository, ref, sha, "ada")
            return sha

        def sign(payload: str) -> str | None:
            return signature or (signer.sign(payload.encode()) if signer else None)

        who = Person.of(tagger) if tagger else Person(signer.principal, signer.principal) if signer else AUTHOR
        tag = repository.add_tag(name, sha, who, at or self.now(), message or f"Release {name}", sign)
        repository.verifications[tag.sha] = self._judge(tag)
        self._point(repository, ref, tag.sha, login(who))
        return tag.sha

    def move_tag(self, repo: str, name: str, sha: str, **more: Any) -> str:
        """Delete the tag and make it anew at another commit; takes what `tag` takes."""
        self.delete_tag(repo, name)
        return self.tag(repo, name, sha, **more)

    def delete_tag(self, repo: str, name: str) -> None:
        """Raises KeyError when there is none."""
        self._drop(self.repository(repo), f"refs/tags/{name}")

    def set_checks(self, repo: str, sha: str, checks: Mapping[str, str], *, branch: str = "main") -> None:
        """The check runs of a commit, name -> conclusion, or `queued`, `in_progress`, `pending`; set again, a name reruns."""
        self._ci.set_checks(self.repository(repo), sha, checks, branch)

    def begin_ci(
        self,
        repo: str,
        sha: str,
        checks: Iterable[str] = ("build", "test"),
        *,
        workflow: str = "ci",
        branch: str = "main",
        event: str = "push",
    ) -> WorkflowRun:
        """A workflow runs for this commit: its checks are in progress until `conclude_ci`."""
        return self._ci.begin(self.repository(repo), sha, checks, workflow, branch, event)

    def conclude_ci(self, repo: str, run: WorkflowRun, outcomes: Mapping[str, str] | str = "success") -> WorkflowRun:
        """outcomes: conclusions by check's name, or one for all; with the last one the suite and the workflow run are completed."""
        return self._ci.conclude(self.repository(repo), run, outcomes)

    def set_status(self, repo: str, sha: str, context: str, state: str, description: str = "", url: str = "") -> Status:
        """state: `error`, `failure`, `pending` or `success`."""
        repository = self.repository(repo)
        status = Status(next(repository.ids), sha, context, state, description, url, self.now())
        repository.statuses.append(status)
        return status

    def set_code_scanning(
        self,
        repo: str,
        sha: str,
        findings: Mapping[str, str | None] | None = None,
        *,
        tool: str = "CodeQL",
        version: str = "2.20.1",
        category: str = "",
        ref: str = "refs/heads/main",
        error: str = "",
        at: datetime | None = None,
    ) -> int:
        """A tool analysed this commit of a branch; returns the analysis' id.

        findings: rule -> `critical`, `high`, `medium`, `low`, or None for a rule that is about no security. error: the upload could not
        be processed.
        """
        scanning = self.repository(repo).scanning
        made = scanning.analyse(
            sha,
            findings or {},
            tool=tool,
            version=version,
            category=category,
            ref=ref,
            error=error,
            at=at or self.now(),
        )
        return made.id

    def dismiss_alert(self, repo: str, rule: str) -> None:
        """A person says that the alerts of this rule needn't be mended."""
        for alert in self.repository(repo).scanning.alerts:
            if alert.rule == rule:
                alert.dismissed_at = self.now()

    def disable_code_scanning(self, repo: str) -> None:
        self.repository(repo).scanning.enabled = False

    def release(self, repo: str, tag: str, notes: str = "", *, name: str = "", draft: bool = False) -> Release:
        """Publish a release of a tag with notes; a draft is seen by nobody who asks for the tag. The tag needn't be there."""
        repository = self.repository(repo)
        target = repository.default_branch
        made = Release(next(repository.ids), tag, target, name or tag, notes, draft, False, self.now())
        repository.releases.append(made)
        self.events.released(repository, made, "created", *(() if draft else ("published", "released")))
        return made

    def publish_release(self, repo: str, tag: str) -> Release:
        """A person publishes the draft of this tag. Raises StopIteration where there is none."""
        repository = self.repository(repo)
        draft = next(each for each in repository.releases if each.tag_name == tag and each.draft)
        draft.draft = False
        self.events.released(repository, draft, "published", "released")
        return draft

    def workflow_run(
        self, repo: str, name: str, sha: str, outcome: str = "success", *, branch: str = "main", event: str = "push"
    ) -> WorkflowRun:
        return self._ci.run(self.repository(repo), name, sha, outcome, branch, event)

    def pull_request(
        self,
        repo: str,
        title: str,
        shas: tuple[str, ...] | list[str],
        *,
        author: str = "ada",
        merged: bool = True,
        approved_by: tuple[str, ...] = (),
        body: str = "",
        head: str = "topic",
        base: str = "main",
    ) -> PullRequest:
        """shas: its commits, the oldest first; of a merged one the last is what came onto the base."""
        repository = self.repository(repo)
        merged_at = self.now() if merged else None
        number = len(repository.pulls) + 1
        pull = PullRequest(number, title, author, tuple(shas), merged_at, approved_by, body, base, head, merged_at)
        repository.pulls.append(pull)
        return pull

    def merge(self, repo: str, number: int, *, by: str | Person = AUTHOR, squash: bool = False) -> str:
        """Merge an open pull request: a merge commit (or one commit of all) on its base, which moves there; returns its SHA.

        Raises Unmergeable where GitHub would refuse, KeyError for a number that is none.
        """
        repository = self.repository(repo)
        pull = next((each for each in repository.pulls if each.number == number), None)
        if pull is None:
            raise KeyError(number)
        changes = merging.merged_changes(repository, pull)
        message = merging.message(repository, pull, squash=squash)
        parents = () if squash else (pull.shas[-1],)
        pull.merged_at = pull.closed_at = self.now()
        sha = self.commit(repo, message, by, files=changes, parents=parents, branch=pull.base)
        pull.shas, pull.merge_sha = (*pull.shas, sha), sha
        return sha

    def add_hook(self, repo: str, url: str, secret: str = "", events: tuple[str, ...] = EVENTS) -> Hook:
        """A webhook of the repository; GitHub pings it at once. Raises ValueError for an address of another machine."""
        hook = self.hooks.add(repo, url, secret, events)
        self.events.ping(self.repository(repo), hook, self.now())
        return hook

    def redeliver(self, guid: str) -> Delivery:
        """What a person does in the hook's settings: the same delivery once more, with the same GUID. Raises KeyError."""
        return self.hooks.redeliver(guid)

    def secondary_limit(self, *, retry_after_s: int = 60, times: int = 1, path: str = "") -> Fault:
        """The next requests are refused by the secondary rate limit."""
        answer = {"message": limits.SECONDARY, "documentation_url": limits.DOCS, "status": "403"}
        headers = self.rate.headers() | {"Retry-After": str(retry_after_s)}
        return self.faults.add(Fault(path=path, times=times, status=403, headers=headers, body=answer))

    def _judge(self, tag: Tag) -> Verification:
        """As GitHub does when it first sees the object; the answer stays though a key is removed later."""
        if tag.signature is None:
            return Verification(False, "unsigned")
        if tag.signature.startswith(PGP_BEGIN):
            return Verification(False, "unknown_key")
        try:
            signature = SshSignature.read(tag.signature)
        except ValueError:
            return Verification(False, "malformed_signature")
        if not signature.verifies(tag.payload.encode()):
            return Verification(False, "invalid")
        if signature.key_blob not in self.signing_keys:
            return Verification(False, "unknown_key")
        return Verification(True, "valid", self.now())

    # What stands before every answer

    def routes(self) -> list[web.RouteDef]:
        return Api(self).routes()

    def dress(self, request: web.Request, status: int) -> web.Response:
        response = limits.limited(60, status) if status == 429 else limits.error(status)
        response.headers.update(self.rate.headers())
        return response

    def middlewares(self) -> list[Any]:
        return [gate(self)]

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        url = await super().start(host, port)
        self.hooks.open()
        return url

    async def stop(self) -> None:
        await self.hooks.close()
        await super().stop()
