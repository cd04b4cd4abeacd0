"""A test suite's little runner: named tests one after the other, JUnit XML on standard output at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

Test = Callable[[], None]


@dataclass(frozen=True)
class Ran:
    """failure: why a test failed, or empty."""

    name: str
    seconds: float
    failure: str


def run(suite: str, tests: Iterable[tuple[str, Test]]) -> int:
    """0 when all passed. A test fails by AssertionError and errs by any other exception that a request or query raises."""
    ran = [_run(name, test) for name, test in tests]
    sys.stdout.write(_xml(suite, ran) + "\n")
    sys.stdout.flush()
    return 1 if any(each.failure for each in ran) else 0


def _run(name: str, test: Test) -> Ran:
    began = time.monotonic()
    failure = ""
    try:
        test()
    except Exception as failed:  # noqa: BLE001 - a test may fail by anything; the runner goes on with the next
        failure = str(failed) or type(failed).__name__
    sys.stdout.write(f"{'FAILED' if failure else 'ok'}: {name}{f': {failure}' if failure else ''}\n")
    sys.stdout.flush()
    return Ran(name, time.monotonic() - began, failure)


def _xml(suite: str, ran: list[Ran]) -> str:
    failures = sum(bool(each.failure) for each in ran)
    taken = sum(each.seconds for each in ran)
    attributes = {
        "name": suite,
        "tests": str(len(ran)),
        "failures": str(failures),
        "errors": "0",
        "time": f"{taken:.3f}",
    }
    root = Xml.Element("testsuites")
    node = Xml.SubElement(root, "testsuite", attributes)
    for each in ran:
        case = Xml.SubElement(node, "testcase", {"classname": suite, "name": each.name, "time": f"{each.seconds:.3f}"})
        if each.failure:
            Xml.SubElement(case, "failure", {"message": each.failure}).text = each.failure
    return Xml.tostring(root, encoding="unicode", xml_declaration=True)
