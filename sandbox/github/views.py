"""What a repository's things look like in GitHub's REST API (version 2022-11-28).

Only the fields that clients read are there; none has another meaning than GitHub gives it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sandbox.github.objects import Commit, Person, Tag
from sandbox.github.repository import (
    CheckRun,
    CheckSuite,
    PullRequest,
    Release,
    Repository,
    Status,
    Verification,
    WorkflowRun,
)

Json = dict[str, Any]
APP = {"id": 15368, "slug": "github-actions", "name": "GitHub Actions"}
UNSIGNED = Verification(False, "unsigned")


def stamp(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


class Views:
    """The views of one repository; `api` is the address of the API, `web` that of the pages. writer: who looks may write, and sees drafts."""

    def __init__(self, repository: Repository, api: str, *, writer: bool = False) -> None:
        self.repository = repository
        self.writer = writer
        self.base = f"{api}/repos/{repository.full_name}"
        self.web = f"{api}/{repository.full_name}"

    def repo(self) -> Json:
        owner, name = self.repository.full_name.split("/")
        return {
            "id": 1296269,
            "name": name,
            "full_name": self.repository.full_name,
            "owner": user(owner, "Organization"),
            "private": True,
            "html_url": self.web,
            "url": self.base,
            "default_branch": self.repository.default_branch,
            "archived": False,
            "disabled": False,
            "visibility": "private",
            "permissions": {"admin": False, "push": True, "pull": True},
        }

    def git_commit(self, commit: Commit) -> Json:
        return {
            "sha": commit.sha,
            "url": f"{self.base}/git/commits/{commit.sha}",
            "html_url": f"{self.web}/commit/{commit.sha}",
            "author": signed_off(commit.author, commit.at),
            "committer": signed_off(commit.author, commit.at),
            "tree": {"sha": commit.tree, "url": f"{self.base}/git/trees/{commit.tree}"},
            "message": commit.message,
            "parents": [self._link("git/commits", sha) for sha in commit.parents],
            "verification": verification(UNSIGNED, None, None),
        }

    def commit(self, commit: Commit) -> Json:
        inner = self.git_commit(commit)
        return {
            "sha": commit.sha,
            "url": f"{self.base}/commits/{commit.sha}",
            "html_url": f"{self.web}/commit/{commit.sha}",
            "commit": {key: inner[key] for key in ("author", "committer", "message", "tree", "url", "verification")},
            "author": user(login(commit.author)),
            "committer": user(login(commit.author)),
            "parents": [self._link("commits", sha) for sha in commit.parents],
        }

    def _link(self, kind: str, sha: str) -> Json:
        return {"sha": sha, "url": f"{self.base}/{kind}/{sha}", "html_url": f"{self.web}/commit/{sha}"}

    def tag(self, tag: Tag) -> Json:
        judged = self.repository.verifications.get(tag.sha, UNSIGNED)
        return {
            "node_id": f"TA_{tag.sha[:12]}",
            "tag": tag.name,
            "sha": tag.sha,
            "url": f"{self.base}/git/tags/{tag.sha}",
            # to git the signature is the end of the message: a client must not take it for words of a person
            "message": tag.message + ("\n" + tag.signature if tag.signature else ""),
            "tagger": signed_off(tag.tagger, tag.at),
            "object": self._object(tag.target),
            "verification": verification(judged, tag.signature, tag.payload),
        }

    def _object(self, sha: str) -> Json:
        kind = self.repository.objects[sha].kind
        return {"sha": sha, "type": kind, "url": f"{self.base}/git/{kind}s/{sha}"}

    def ref(self, ref: str) -> Json:
        return {
            "ref": ref,
            "node_id": f"REF_{ref}",
            "url": f"{self.base}/git/{ref}",
            "object": self._object(self.repository.refs[ref]),
        }

    def listed_tag(self, name: str) -> Json:
        sha = self.repository.peel(self.repository.refs[f"refs/tags/{name}"])
        return {
            "name": name,
            "zipball_url": f"{self.base}/zipball/refs/tags/{name}",
            "tarball_url": f"{self.base}/tarball/refs/tags/{name}",
            "commit": {"sha": sha, "url": f"{self.base}/commits/{sha}"},
            "node_id": f"REF_refs/tags/{name}",
        }

    def branch(self, name: str, *, whole: bool) -> Json:
        sha = self.repository.refs[f"refs/heads/{name}"]
        commit = {"sha": sha, "url": f"{self.base}/commits/{sha}"}
        if whole:
            commit = self.commit(self.repository.commits[sha])
        return {"name": name, "commit": commit, "protected": name == self.repository.default_branch}

    def check_run(self, run: CheckRun) -> Json:
        return {
            "id": run.id,
            "head_sha": run.head_sha,
            "name": run.name,
            "status": run.status,
            "conclusion": run.conclusion,
            "started_at": stamp(run.started_at),
            "completed_at": stamp(run.completed_at or run.started_at) if run.conclusion else None,
            "url": f"{self.base}/check-runs/{run.id}",
            "html_url": f"{self.web}/runs/{run.id}",
            "details_url": f"{self.web}/runs/{run.id}",
            "output": {"title": None, "summary": None, "text": None, "annotations_count": 0},
            "app": APP,
            "check_suite": {"id": run.suite_id},
            "pull_requests": [],
        }

    def check_suite(self, suite: CheckSuite, runs: Sequence[CheckRun]) -> Json:
        """runs: those of the suite, without the superseded ones."""
        conclusion = concluded([run.conclusion for run in runs])
        here = f"{self.base}/check-suites/{suite.id}"
        return {
            "id": suite.id,
            "head_branch": suite.head_branch,
            "head_sha": suite.head_sha,
            "status": "completed" if conclusion else "in_progress",
            "conclusion": conclusion,
            "url": here,
            "before": suite.before or "0" * 40,
            "after": suite.head_sha,
            "pull_requests": [],
            "app": APP,
            "created_at": stamp(suite.at),
            "updated_at": stamp(max((run.completed_at or run.started_at for run in runs), default=suite.at)),
            "latest_check_runs_count": len(runs),
            "check_runs_url": f"{here}/check-runs",
        }

    def status(self, status: Status) -> Json:
        return {
            "id": status.id,
            "url": f"{self.base}/statuses/{status.sha}",
            "state": status.state,
            "description": status.description or None,
            "target_url": status.target_url or None,
            "context": status.context,
            "created_at": stamp(status.at),
            "updated_at": stamp(status.at),
        }

    def combined(self, sha: str, page: list[Status], every: list[Status]) -> Json:
        return {
            "state": combined_state(every),
            "statuses": [self.status(status) for status in page],
            "sha": sha,
            "total_count": len(every),
            "repository": self.repo(),
            "commit_url": f"{self.base}/commits/{sha}",
            "url": f"{self.base}/commits/{sha}/status",
        }

    def run(self, run: WorkflowRun) -> Json:
        return {
            "id": run.id,
            "name": run.name,
            "head_branch": run.branch,
            "head_sha": run.head_sha,
            "event": run.event,
            "status": run.status,
            "conclusion": run.conclusion,
            "display_title": self.repository.commits[run.head_sha].message.partition("\n")[0],
            "path": f".github/workflows/{run.name}.yml",
            "workflow_id": run.workflow_id,
            "check_suite_id": run.suite_id,
            "pull_requests": [],
            "run_number": run.id - 1000,
            "run_attempt": 1,
            "url": f"{self.base}/actions/runs/{run.id}",
            "html_url": f"{self.web}/actions/runs/{run.id}",
            "created_at": stamp(run.at),
            "updated_at": stamp(run.at),
        }

    def pull(self, pull: PullRequest) -> Json:
        return {
            "number": pull.number,
            "title": pull.title,
            "body": pull.body or None,
            "state": "closed" if pull.merged_at or pull.closed_at else "open",
            "html_url": f"{self.web}/pull/{pull.number}",
            "url": f"{self.base}/pulls/{pull.number}",
            "user": user(pull.author),
            "merged_at": stamp(pull.merged_at),
            "closed_at": stamp(pull.closed_at or pull.merged_at),
            "merge_commit_sha": pull.merge_sha or (pull.shas[-1] if pull.shas else None),
            "base": {"ref": pull.base},
            "head": {
                "ref": pull.head,
                "sha": next((sha for sha in reversed(pull.shas) if sha != pull.merge_sha), None),
            },
            "labels": [],
        }

    def review(self, pull: PullRequest, reviewer: str) -> Json:
        return {
            "id": 80 + pull.approved_by.index(reviewer),
            "user": user(reviewer),
            "state": "APPROVED",
            "body": "",
            "commit_id": pull.shas[-1] if pull.shas else None,
            "submitted_at": stamp(pull.merged_at),
        }

    def release(self, release: Release) -> Json:
        return {
            "id": release.id,
            "url": f"{self.base}/releases/{release.id}",
            "assets_url": f"{self.base}/releases/{release.id}/assets",
            "html_url": f"{self.web}/releases/tag/{release.tag_name}",
            "tag_name": release.tag_name,
            "target_commitish": release.target_commitish,
            "name": release.name,
            "body": release.body,
            "draft": release.draft,
            "prerelease": release.prerelease,
            "created_at": stamp(release.at),
            "published_at": None if release.draft else stamp(release.at),
            "author": user("forge"),
            "assets": [],
        }

    def content(self, path: str, blob_sha: str, body: bytes | None) -> Json:
        """body: None in a directory's list, where GitHub leaves the content out."""
        view: Json = {
            "type": "file",
            "name": path.rsplit("/", 1)[-1],
            "path": path,
            "sha": blob_sha,
            "size": 0,
            "url": f"{self.base}/contents/{path}",
        }
        if body is not None:
            view |= {"size": len(body), "encoding": "base64", "content": base64.encodebytes(body).decode()}
        return view

    def compare(self, base: str, head: str, page: tuple[int, int]) -> Json:
        """Three dots: from the merge base of the two to `head`. page: its number and size; the changed files are on the first alone."""
        repository = self.repository
        before, after = repository.history(base), repository.history(head)
        known, reached = set(before), set(after)
        merge_base = next(sha for sha in after if sha in known)
        ahead = [sha for sha in after if sha not in known]
        behind = [sha for sha in before if sha not in reached]
        number, size = page
        shown = list(reversed(ahead))[(number - 1) * size : number * size]
        files = changed_files(repository.files[merge_base], repository.files[head]) if number == 1 else None
        return {
            "url": f"{self.base}/compare/{base}...{head}",
            "html_url": f"{self.web}/compare/{base}...{head}",
            "status": _relation(len(ahead), len(behind)),
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "base_commit": self.commit(repository.commits[base]),
            "merge_base_commit": self.commit(repository.commits[merge_base]),
            "commits": [self.commit(repository.commits[sha]) for sha in shown],
            **({} if files is None else {"files": files[:300]}),
        }


def _relation(ahead: int, behind: int) -> str:
    if ahead and behind:
        return "diverged"
    if ahead:
        return "ahead"
    return "behind" if behind else "identical"


def changed_files(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[Json]:
    found = []
    for path in sorted({*before, *after}):
        if before.get(path) != after.get(path):
            status = "added" if path not in before else "removed" if path not in after else "modified"
            old, new = before.get(path, b"").splitlines(), after.get(path, b"").splitlines()
            additions, deletions = len(set(new) - set(old)), len(set(old) - set(new))
            found.append(
                {
                    "filename": path,
                    "status": status,
                    "additions": additions,
                    "deletions": deletions,
                    "changes": additions + deletions,
                }
            )
    return found


def concluded(conclusions: Sequence[str | None]) -> str | None:
    """What a suite comes to: None while one of its runs has no end."""
    if not conclusions or None in conclusions:
        return None
    for worse in ("failure", "timed_out", "startup_failure", "action_required", "cancelled", "stale", "success"):
        if worse in conclusions:
            return worse
    return conclusions[0]


def combined_state(statuses: list[Status]) -> str:
    """GitHub: failure if any is error or failure; pending if none exists or any is pending; else success."""
    states = {status.state for status in statuses}
    if states & {"error", "failure"}:
        return "failure"
    return "pending" if not states or "pending" in states else "success"


def verification(judged: Verification, signature: str | None, payload: str | None) -> Json:
    """An unsigned object has no payload either."""
    return {
        "verified": judged.verified,
        "reason": judged.reason,
        "signature": signature.rstrip("\n") if signature else None,
        "payload": payload if signature else None,
        "verified_at": stamp(judged.verified_at),
    }


def signed_off(person: Person, at: datetime) -> Json:
    return {"name": person.name, "email": person.email, "date": stamp(at)}


def login(person: Person) -> str:
    return person.email.split("@")[0]


def user(name: str, kind: str = "User") -> Json:
    return {"login": name, "id": sum(name.encode()), "type": kind, "site_admin": False}
