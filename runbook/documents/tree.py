"""A YAML file as plain JSON values, with the line and column of every key and value.

It never builds objects from tags and never grows beyond its bounds, aliases included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from runbook.documents.problems import ConfigurationError, Problem

LARGEST_BYTES = 1024 * 1024
LARGEST_NODES = 100_000
"""A thousand services, generously written, fit in."""
DEEPEST = 40

Path = tuple[str | int, ...]
"""Keys and indexes from the root."""

_YAML = "tag:yaml.org,2002:"
_TRUE, _FALSE = frozenset({"true", "True", "TRUE"}), frozenset({"false", "False", "FALSE"})


def dotted(path: Path) -> str:
    """`services.shop.workloads[0].image`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


@dataclass
class Tree:
    """values: JSON values. keys, places: where each key and each value begins, (line, column) from 1."""

    file: str
    values: Any = None
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def problem(self, path: Path, cause: str, remedy: str = "", *, key: bool = False) -> Problem:
        """A problem at this path, or at its nearest parent that the file has. key: the key itself is wrong, not its value."""
        named = path
        while path and path not in self.places:
            path = path[:-1]
        line, column = (self.keys if key else self.places).get(path) or self.places.get(path) or (0, 0)
        return Problem(self.file, line, column, dotted(named), cause, remedy)


def read_tree(text: str, file: str, *, largest_bytes: int = LARGEST_BYTES) -> Tree:
    """Raises ConfigurationError for a syntax error, a repeated key, a tag, or a file that is too big."""
    if len(text.encode()) > largest_bytes:
        cause = f"the file is larger than {largest_bytes // 1024} KiB"
        raise ConfigurationError(
            [Problem(file, 0, 0, "", cause, "A configuration needs a few KiB: is it the right file?")]
        )
    node = _compose(text, file)
    reader = _Reader(Tree(file))
    if node is not None:
        reader.tree.values = reader.value(node, (), 0)
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return reader.tree


def _compose(text: str, file: str) -> Node | None:
    try:
        # Not "rt": whose scanner looks for comments, and leaves its own marks in a folded text.
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        cause = "; ".join(str(words).strip() for words in (error.context, error.problem) if words)
        raise ConfigurationError(
            [Problem(file, line, column, "", f"not YAML: {cause}", _syntax_remedy(cause))]
        ) from None
    except RecursionError:
        raise ConfigurationError([Problem(file, 0, 0, "", "nested too deeply", f"At most {DEEPEST} levels")]) from None
    except YAMLError as error:
        cause = str(error).splitlines()[0]
        raise ConfigurationError(
            [Problem(file, 0, 0, "", f"not YAML: {cause}", "Save the file as UTF-8 text")]
        ) from None
    return node


def _syntax_remedy(cause: str) -> str:
    if "\\t" in cause:
        return "Indent with spaces, not tabs"
    if "alias" in cause:
        return "Define the anchor (&name) above the place where it is used (*name)"
    if "single document" in cause:
        return "Keep one document in the file: remove the line `---` in its middle"
    if "mapping values" in cause:
        return 'Quote a text that contains ": "'
    return "Look at this line and the one above it: indentation, a missing colon, bracket or quote"


class _Reader:
    """Walks the nodes once; collects every problem instead of stopping at the first."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.problems: list[Problem] = []
        self._count = 0

    def value(self, node: Node, path: Path, depth: int) -> Any:
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        self.tree.places[path] = place
        self._count += 1
        if self._count > LARGEST_NODES or depth > DEEPEST:
            cause = "the aliases multiply into too many values" if self._count > LARGEST_NODES else "nested too deeply"
            remedy = f"At most {LARGEST_NODES} values and {DEEPEST} levels"
            raise ConfigurationError([Problem(self.tree.file, *place, dotted(path), cause, remedy)])
        if isinstance(node, MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        return self._scalar(str(node.tag).removeprefix(_YAML), str(node.value), node, path)

    def _mapping(self, node: MappingNode, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if str(key_node.tag) == f"{_YAML}merge":
                for base in self._bases(value_node, path):
                    for key, value in self._mapping(base, path, depth + 1).items():
                        merged.setdefault(key, value)
                continue
            if not isinstance(key_node, ScalarNode):
                self._add(key_node, path, "a key must be a word", "Write it as text")
                continue
            key = str(key_node.value)
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in lines:
                cause = f"the key stands here twice, first in line {lines[key]}"
                self.problems.append(Problem(self.tree.file, *place, dotted((*path, key)), cause, "Keep one of them"))
                continue
            lines[key] = place[0]
            self.tree.keys[(*path, key)] = place
            found[key] = self.value(value_node, (*path, key), depth + 1)
        return {**merged, **found}

    def _bases(self, node: Node, path: Path) -> Iterator[MappingNode]:
        for base in node.value if isinstance(node, SequenceNode) else [node]:
            if isinstance(base, MappingNode):
                yield base
            else:
                self._add(node, path, "`<<` merges mappings only", "Point it to an anchor on a mapping")

    def _scalar(self, kind: str, text: str, node: Node, path: Path) -> Any:
        try:
            match kind:
                case "str" | "timestamp":
                    return text
                case "null":
                    return None
                case "bool" if text in _TRUE | _FALSE:
                    return text in _TRUE
                case "int":
                    return _integer(text)
                case "float" if math.isfinite(float(text)):
                    return float(text)
        except ValueError:
            pass
        if kind in ("bool", "int", "float"):
            self._add(node, path, f"{text} is no value that forge can use", "Write true or false, or a finite number")
        else:
            self._add(node, path, f"the tag {node.tag} is not allowed", "Remove the tag: plain values only")
        return None

    def _add(self, node: Node, path: Path, cause: str, remedy: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(self.tree.file, mark.line + 1, mark.column + 1, dotted(path), cause, remedy))


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    prefixed = digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b")
    return int(digits, 0) if prefixed else int(digits, 10)
