"""Reads JUnit XML out of a program's output. The XML comes from the program under test: no DTD is read, no entity expanded,
and work is bounded by the size of the text.

Format: Apache Ant's JUnit schema and its dialects, as `junitparser` reads them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser
from junitparser import JUnitXml, TestCase

from runbook.reports.output import one_line, plain

FAILED_SHOWN = 10
_DEEPEST = 64
_SMALL_CHUNK, _CHUNK = 4 * 1024, 64 * 1024
_EFFORT = 3
"""How many times the text's own size is parsed at most, whatever it looks like."""
_LEAST_EFFORT = 512
"""What a beginning costs at least: a text may be nothing but beginnings."""
_MOST = 10**9

_BEGIN = re.compile(rb"<testsuites?(?=[\s/>])")
_TAG = re.compile(rb"""</?test(?:[^<>"']|"[^"]*"|'[^']*')*>""")
_TRACE = re.compile(rb"</?test(?:suites?|case)(?=[\s/>])")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class FailedTest:
    """message: its first line; may be empty."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class TestReport:
    """All documents together. duration_s: as declared, None where it isn't. failed: the first of them.

    whole: False when XML is cut off or can't be read in part: then the numbers are the least that is known.
    """

    __test__ = False

    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    duration_s: float | None = None
    failed: tuple[FailedTest, ...] = ()
    whole: bool = True

    @property
    def bad(self) -> int:
        return self.failures + self.errors

    @property
    def ran(self) -> int:
        """Skipped tests have tested nothing."""
        return max(self.tests - self.skipped, self.bad)


def read_junit(text: str) -> TestReport | None:
    """Every `<testsuites>` or `<testsuite>` document in the text, whatever stands around them. None when there is no trace of one.

    Takes up to a few seconds for megabytes: call it in a thread.
    """
    data = _NOT_XML.sub("", plain(text)).encode("utf-8", "replace")
    documents, whole = _documents(data)
    if not documents:
        return None if whole else TestReport(whole=False)
    reports = [_report(root) for root in documents]
    durations = [report.duration_s for report in reports if report.duration_s is not None]
    return TestReport(
        tests=sum(report.tests for report in reports),
        failures=sum(report.failures for report in reports),
        errors=sum(report.errors for report in reports),
        skipped=sum(report.skipped for report in reports),
        duration_s=sum(durations) if durations else None,
        failed=tuple(chain.from_iterable(report.failed for report in reports))[:FAILED_SHOWN],
        whole=whole,
    )


# --- where the documents are ------------------------------------------------------------------------------------------


def _documents(data: bytes) -> tuple[list[Element], bool]:
    """(roots, whether nothing of JUnit is left over between them)."""
    roots: list[Element] = []
    at, covered, whole = 0, 0, True
    effort = _EFFORT * max(len(data), _CHUNK)
    while (begin := _BEGIN.search(data, at)) is not None:
        root, end, spent = _parse(data, begin.start(), effort)
        effort -= max(spent, _LEAST_EFFORT)
        if root is not None:
            whole = whole and _TRACE.search(data, covered, begin.start()) is None
            roots.append(root)
            at = covered = end
        elif effort <= 0:
            return roots, False
        else:
            at = begin.end()
    return roots, whole and _TRACE.search(data, covered) is None


def _parse(data: bytes, start: int, effort: int) -> tuple[Element | None, int, int]:
    """(the document that begins there or None, where it ends, how many bytes were looked at)."""
    target = _Target()
    # Beginning at the root element, a DTD before it is never read; one after it is refused.
    parser = DefusedXMLParser(target=target, encoding="utf-8", forbid_dtd=True)
    target.place = lambda: parser.parser.CurrentByteIndex
    fed = 0
    try:
        while start + fed < len(data) and fed < effort:
            chunk = data[start + fed : start + fed + (_CHUNK if fed else _SMALL_CHUNK)]
            fed += len(chunk)
            parser.feed(chunk)
    except _Closed as closed:
        return closed.root, _end_of_tag(data, start + closed.place), fed
    except (ParseError, DefusedXmlException, _TooDeep):
        pass
    return None, start, fed


def _end_of_tag(data: bytes, at: int) -> int:
    """The parser stands at the root's end tag, or (depending on its version) before or behind a root that is one empty tag."""
    tag = _TAG.match(data, at)
    return tag.end() if tag is not None else at


class _Closed(Exception):
    """place: where the root's end tag begins, in bytes from the document's beginning."""

    def __init__(self, root: Element, place: int) -> None:
        super().__init__()
        self.root = root
        self.place = place


class _TooDeep(Exception):
    pass


class _Target:
    """Builds elements without namespaces and stops at the end of the root: other text may follow it.

    place: tells where the parser is; it knows only while it calls.
    """

    place: Callable[[], int]

    def __init__(self) -> None:
        self._builder = TreeBuilder()
        self._depth = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _TooDeep
        self._builder.start(_local(tag), dict(attributes))

    def end(self, tag: str) -> None:
        self._builder.end(_local(tag))
        self._depth -= 1
        if self._depth == 0:
            raise _Closed(self._builder.close(), self.place())

    def data(self, text: str) -> None:
        self._builder.data(text)

    def close(self) -> None:
        """The parser asks for it; a document without its end is none."""


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


# --- what they say ----------------------------------------------------------------------------------------------------


def _report(root: Element) -> TestReport:
    """What is counted and what is declared may differ (some tools print totals alone): the larger number is believed."""
    declared = {name: _declared(root, name) for name in ("tests", "failures", "errors", "skipped")}
    duration_s = _duration(root)
    tests = failures = errors = skipped = 0
    failed: list[FailedTest] = []
    for case in _cases(JUnitXml.fromroot(cast(Any, root))):  # annotated as its own class, meant for ElementTree's
        tests += 1
        failures += case.is_failure
        errors += case.is_error and not case.is_failure
        skipped += case.is_skipped and not (case.is_failure or case.is_error)
        if (case.is_failure or case.is_error) and len(failed) < FAILED_SHOWN:
            failed.append(_failed(case))
    failures, errors = max(failures, declared["failures"]), max(errors, declared["errors"])
    return TestReport(
        tests=max(tests, declared["tests"], failures + errors),
        failures=failures,
        errors=errors,
        skipped=max(skipped, declared["skipped"]),
        duration_s=duration_s,
        failed=tuple(failed),
    )


def _cases(document: JUnitXml) -> Iterator[TestCase]:
    yield from cast(Iterator[TestCase], document.iterchildren(TestCase))  # type: ignore[no-untyped-call] # the library's
    for suite in document:
        yield from suite


def _failed(case: TestCase) -> FailedTest:
    name = ".".join(part for part in (case.classname, case.name) if part)
    bad = next(result for result in case.result if not _is_skip(result))
    return FailedTest(one_line(name) or "a test without a name", one_line(bad.message or bad.text or ""))


def _is_skip(result: object) -> bool:
    return type(result).__name__ == "Skipped"


def _declared(element: Element, name: str) -> int:
    """The element's own number or its suites' together, whichever is larger; what is no number counts as none."""
    try:
        own = int(element.get(name) or 0)
    except ValueError:
        own = 0
    return min(max(own, sum(_declared(suite, name) for suite in element.iterfind("testsuite")), 0), _MOST)


def _duration(element: Element) -> float | None:
    try:
        own = float((element.get("time") or "").replace(",", ""))
    except ValueError:
        own = math.nan
    if math.isfinite(own) and own >= 0:
        return own
    parts = [part for suite in element.iterfind("testsuite") if (part := _duration(suite)) is not None]
    return sum(parts) if parts else None
