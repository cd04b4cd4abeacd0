"""What a repository's things look like in GitHub's REST API (version 2022-11-28).

Only the fields that clients read are there; none has another meaning than GitHub gives it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sandbox.github.objects import Commit, Person, Tag
from sandbox.github.repository import CheckRun, PullRequest, Release, Repository, Status, Verification, WorkflowRun

Json = dict[str, Any]
UNSIGNED = Verification(False, "unsigned")


def stamp(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


class Views:
    """The views of one repository; `api` is the address of the API, `web` that of the pages."""

    def __init__(self, repository: Repository, api: str) -> None:
        self.repository = repository
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
            "completed_at": stamp(run.started_at) if run.conclusion else None,
            "url": f"{self.base}/check-runs/{run.id}",
            "html_url": f"{self.web}/runs/{run.id}",
            "details_url": f"{self.web}/runs/{run.id}",
            "output": {"title": None, "summary": None, "text": None, "annotations_count": 0},
            "app": {"id": 15368, "slug": "github-actions", "name": "GitHub Actions"},
            "check_suite": {"id": 5},
            "pull_requests": [],
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
            "state": "closed" if pull.merged_at else "open",
            "html_url": f"{self.web}/pull/{pull.number}",
            "url": f"{self.base}/pulls/{pull.number}",
            "user": user(pull.author),
            "merged_at": stamp(pull.merged_at),
            "merge_commit_sha": pull.shas[-1] if pull.shas else None,
            "base": {"ref": pull.base},
            "head": {"ref": pull.head, "sha": pull.shas[-1] if pull.shas else None},
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

    def compare(self, base: str, head: str) -> Json:
        """Three dots: from the merge base of the two to `head`."""
        repository = self.repository
        before, after = repository.history(base), repository.history(head)
        merge_base = next(sha for sha in after if sha in set(before))
        ahead = [sha for sha in after if sha not in set(before)]
        behind = [sha for sha in before if sha not in set(after)]
        return {
            "url": f"{self.base}/compare/{base}...{head}",
            "status": _relation(len(ahead), len(behind)),
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "base_commit": self.commit(repository.commits[base]),
            "merge_base_commit": self.commit(repository.commits[merge_base]),
            "commits": [self.commit(repository.commits[sha]) for sha in reversed(ahead)],
            "files": changed_files(repository.files[merge_base], repository.files[head]),
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
