"""Merging a pull request: the tree that results, as far as two branches didn't change the same file differently."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.github.repository import PullRequest, Repository


class Unmergeable(ValueError):
    """GitHub's 405: closed already, nothing to merge, or a conflict."""


def merged_changes(repository: Repository, pull: PullRequest) -> Mapping[str, bytes | None]:
    """What the pull request changes on its base as it is now, path -> content, None deletes. Raises Unmergeable."""
    if pull.merged_at or pull.closed_at:
        raise Unmergeable(f"pull request #{pull.number} is closed")
    tip, head = repository.refs[f"refs/heads/{pull.base}"], pull.shas[-1]
    known = set(repository.history(tip))
    start = next((sha for sha in repository.history(head) if sha in known), None)
    if start is None or head in known:
        raise Unmergeable(f"pull request #{pull.number} has nothing that could be merged")
    base, ours, theirs = (repository.files[sha] for sha in (start, tip, head))
    changes = {path: theirs.get(path) for path in {*base, *theirs} if base.get(path) != theirs.get(path)}
    conflicts = [path for path in changes if ours.get(path) != base.get(path) and ours.get(path) != theirs.get(path)]
    if conflicts:
        raise Unmergeable(f"pull request #{pull.number} is in conflict: {', '.join(sorted(conflicts)[:3])}")
    return changes


def message(repository: Repository, pull: PullRequest, *, squash: bool) -> str:
    if squash:
        return f"{pull.title} (#{pull.number})" + (f"\n\n{pull.body}" if pull.body else "")
    owner = repository.full_name.partition("/")[0]
    return f"Merge pull request #{pull.number} from {owner}/{pull.head}\n\n{pull.title}"
