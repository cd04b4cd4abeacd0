"""Git's four kinds of object as bytes, named by their real SHA-1.

A repository written from these bytes is one that git accepts, so that signatures can be checked on them.
It knows nothing of refs or of HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["blob", "tree", "commit", "tag"]
SSH_BEGIN, PGP_BEGIN = "-----BEGIN SSH SIGNATURE-----", "-----BEGIN PGP SIGNATURE-----"


@dataclass(frozen=True)
class Person:
    name: str
    email: str

    @classmethod
    def of(cls, who: str | Person) -> Person:
        """`Ada`, `Ada <ada@example.test>` or a Person; a missing address is made up under `example.test`."""
        if isinstance(who, Person):
            return who
        name, _, email = who.partition("<")
        name = name.strip()
        return cls(name, email.rstrip("> ") or f"{name.lower().replace(' ', '.')}@example.test")


@dataclass(frozen=True)
class GitObject:
    """body: the bytes without git's header."""

    kind: Kind
    body: bytes

    @property
    def sha(self) -> str:
        header = f"{self.kind} {len(self.body)}\0".encode()
        return hashlib.sha1(header + self.body, usedforsecurity=False).hexdigest()


class Link(bytes):
    """A symbolic link in place of a file's content: its bytes are the target."""


class Submodule(bytes):
    """Another repository in place of a file's content: its bytes are that commit's SHA in hexadecimal digits."""


@dataclass(frozen=True)
class Commit:
    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    at: datetime
    message: str


@dataclass(frozen=True)
class Tag:
    """An annotated tag. payload: what a signature is over; signature: the armoured block, or None."""

    sha: str
    name: str
    target: str
    target_kind: Kind
    tagger: Person
    at: datetime
    message: str
    payload: str
    signature: str | None


def _stamp(person: Person, at: datetime) -> str:
    return f"{person.name} <{person.email}> {int(at.timestamp())} +0000"


def trees(files: Mapping[str, bytes]) -> list[GitObject]:
    """The blobs and trees of these files (path -> content); the root tree comes last."""
    made: list[GitObject] = []
    entries: list[tuple[bytes, bytes]] = []
    below: dict[str, dict[str, bytes]] = {}
    for path, content in files.items():
        head, slash, rest = path.partition("/")
        if slash:
            below.setdefault(head, {})[rest] = content
        else:
            mode, sha = b"160000", content.decode() if isinstance(content, Submodule) else ""
            if not sha:
                blob = GitObject("blob", content)
                made.append(blob)
                mode, sha = b"120000" if isinstance(content, Link) else b"100644", blob.sha
            entries.append((head.encode(), mode + b" " + head.encode() + b"\0" + bytes.fromhex(sha)))
    for name, inner in below.items():
        subtree = trees(inner)
        made.extend(subtree)
        # git sorts a directory as if its name ended with a slash
        entry = b"40000 " + name.encode() + b"\0" + bytes.fromhex(subtree[-1].sha)
        entries.append((name.encode() + b"/", entry))
    made.append(GitObject("tree", b"".join(entry for _, entry in sorted(entries))))
    return made


def commit_object(tree: str, parents: Iterable[str], author: Person, at: datetime, message: str) -> GitObject:
    head = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    head += [f"author {_stamp(author, at)}", f"committer {_stamp(author, at)}"]
    return GitObject("commit", ("\n".join(head) + "\n\n" + message.rstrip("\n") + "\n").encode())


def tag_payload(name: str, target: str, kind: Kind, tagger: Person, at: datetime, message: str) -> str:
    """The tag object's text without a signature: what is signed."""
    head = [f"object {target}", f"type {kind}", f"tag {name}", f"tagger {_stamp(tagger, at)}"]
    return "\n".join(head) + "\n\n" + message.rstrip("\n") + "\n"


def tag_object(payload: str, signature: str | None) -> GitObject:
    """git puts the signature behind the message, with nothing between."""
    return GitObject("tag", (payload + (signature or "")).encode())
