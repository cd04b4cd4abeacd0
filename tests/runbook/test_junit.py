"""JUnit XML out of what a program printed, however it is surrounded, broken or meant to hurt."""

from __future__ import annotations

from typing import Any

import pytest
from defusedxml.ElementTree import DefusedXMLParser
from hypothesis import given
from hypothesis import strategies as st

from runbook.reports import junit
from runbook.reports.junit import FailedTest, TestReport, read_junit

PYTEST = """============ 4 failed in 0.12s ============
<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1"
 skipped="1" tests="4" time="1.250"><testcase classname="tests.api.Orders" name="test_create" time="0.1" />
<testcase classname="tests.api.Orders" name="test_pay" time="0.2"><failure message="assert 402 == 200&#10; +  where">
def test_pay(): ... <![CDATA[ </testsuite></testsuites> ]]></failure></testcase>
<testcase classname="tests.api.Orders" name="test_ship"><error message="fixture 'db' failed">tb</error></testcase>
<testcase classname="tests.api.Orders" name="test_skip"><skipped message="later" /></testcase></testsuite></testsuites>
bye
"""
SUREFIRE = """[INFO] done
<testsuite name="com.acme.CartTest" tests="2" errors="0" skipped="0" failures="0" time="1,234.5">
  <properties><property name="a" value="x > y"/></properties>
  <testcase name="adds" classname="com.acme.CartTest"><system-out><![CDATA[<testsuite>not one</testsuite>]]></system-out></testcase>
  <testcase name="removes" classname="com.acme.CartTest"/>
</testsuite>
"""


def report(text: str) -> TestReport:
    found = read_junit(text)
    assert found is not None
    return found


def test_a_report_between_other_lines_is_counted() -> None:
    found = report(PYTEST)
    assert (found.tests, found.failures, found.errors, found.skipped, found.whole) == (4, 1, 1, 1, True)
    assert found.duration_s == 1.25
    assert found.failed == (
        FailedTest("tests.api.Orders.test_pay", "assert 402 == 200"),
        FailedTest("tests.api.Orders.test_ship", "fixture 'db' failed"),
    )


def test_several_documents_are_one_report() -> None:
    found = report(PYTEST + "more\n" + SUREFIRE + SUREFIRE)
    assert (found.tests, found.failures, found.whole) == (8, 1, True)
    assert found.duration_s == 1.25 + 2 * 1234.5


def test_markup_within_a_tests_own_output_is_no_document() -> None:
    assert report(SUREFIRE).tests == 2


def test_output_without_a_trace_of_junit_is_no_report() -> None:
    assert read_junit("all 12 checks passed\n<html></html>") is None
    assert read_junit("") is None


def test_suites_within_suites_are_counted_once() -> None:
    nested = '<testsuites><testsuite name="a"><testsuite name="b"><testcase name="x"/></testsuite><testcase name="y"/></testsuite></testsuites>'
    assert report(nested).tests == 2


def test_totals_without_cases_are_believed() -> None:
    found = report('<testsuites><testsuite tests="5" failures="2" errors="1"/><testsuite tests="3"/></testsuites>')
    assert (found.tests, found.bad, found.failed) == (8, 3, ())


def test_cases_count_more_than_a_total_that_hides_them() -> None:
    found = report(
        '<testsuite tests="1" failures="0"><testcase name="a"><failure/></testcase><testcase name="b"/></testsuite>'
    )
    assert (found.tests, found.failures) == (2, 1)


def test_totals_that_are_no_numbers_are_none() -> None:
    found = report('<testsuite tests="many" failures="-3" time="soon"><testcase name="a" time="x"/></testsuite>')
    assert (found.tests, found.failures, found.duration_s) == (1, 0, None)


def test_a_document_of_one_empty_tag_is_whole() -> None:
    found = report('a <testsuites name="x > y"/> b <testsuite tests="2" /> c')
    assert (found.tests, found.whole) == (2, True)


def test_namespaces_do_not_matter() -> None:
    assert report('<testsuite xmlns="urn:junit"><testcase name="a"><failure/></testcase></testsuite>').failures == 1


def test_control_characters_and_colours_do_not_break_it() -> None:
    found = report(
        '<testsuite><testcase name="a"><failure message="\x1b[31mred\x1b[0m \x08\x00!">x</failure></testcase></testsuite>'
    )
    assert found.failed[0].message == "red !"


def test_a_secret_in_a_message_is_taken_out() -> None:
    found = report(
        '<testsuite><testcase name="a"><error message="Authorization: Bearer abc.def"/></testcase></testsuite>'
    )
    assert "abc.def" not in found.failed[0].message


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_report_whose_end_is_missing_is_not_whole(share: float) -> None:
    begin, end = PYTEST.index("<testsuites"), PYTEST.rindex("</testsuites>")
    text = PYTEST[: begin + int(share * (end - begin))]
    assert not report(text).whole


def test_a_report_whose_beginning_is_missing_is_not_whole() -> None:
    found = report(PYTEST[PYTEST.index("<testcase") :])
    assert (found.tests, found.whole) == (0, False)


def test_whole_suites_of_a_report_whose_beginning_is_missing_still_count() -> None:
    found = report("name='x'/></testsuite>" + SUREFIRE + "</testsuites>")
    assert (found.tests, found.whole) == (2, False)


def test_a_line_that_only_names_the_element_spoils_nothing() -> None:
    found = report("writing <testsuites> to the output\n" + PYTEST)
    assert (found.tests, found.failures, found.whole) == (4, 1, False)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;">]><testsuite><testcase name="&m;"/></testsuite>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite><testcase name="a">&x;</testcase></testsuite>',
        '<testsuite><!DOCTYPE a [<!ENTITY l "lol">]><testcase name="a"/></testsuite>',
        "<testsuite>" * 5000 + "<testcase name='a'/>" + "</testsuite>" * 5000,
    ],
    ids=["entities", "an external entity", "a DTD within", "deep nesting"],
)
def test_xml_that_is_meant_to_hurt_is_refused(text: str) -> None:
    found = report(text)
    assert (found.tests, found.whole) == (0, False)


@pytest.mark.parametrize(
    "text",
    [
        "<testsuite/>" * 90_000,
        "<testsuite>" * 90_000,
        "<testsuite " * 90_000,
        "<testsuite>" * 40 + "<a/>" * 50_000,
        "<testsuite>" + "<![CDATA[" * 100_000,
        "\x1b]" * 500_000,
        "\r" * 1_000_000,
    ],
    ids=["tiny documents", "only beginnings", "broken beginnings", "unclosed", "unclosed CDATA", "escapes", "returns"],
)
def test_a_megabyte_of_anything_is_read_with_bounded_work(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[int] = []

    class CountingParser(DefusedXMLParser):
        def feed(self, data: Any, /) -> None:
            fed.append(len(data))
            super().feed(data)

    monkeypatch.setattr(junit, "DefusedXMLParser", CountingParser)
    read_junit(text)
    assert sum(fed) <= 30 * len(text)  # each beginning by itself would be fed half of it
    assert len(fed) <= len(text)


def test_a_megabyte_of_results_is_counted() -> None:
    case = '<testcase classname="tests.api.orders" name="test_number" time="0.01"/>\n'
    found = report("<testsuite>" + case * 15_000 + "</testsuite>")
    assert (found.tests, found.whole) == (15_000, True)


_pieces = st.lists(
    st.sampled_from(
        ["<testsuites>", "</testsuites>", "<testsuite>", "</testsuite>", "<testcase name='a'>", "</testcase>", "<failure/>",
         "<testsuite/>", "text", "<", ">", "&", "&lt;", "<![CDATA[", "]]>", "<!--", "-->", "\n", "<error message='x'/>", "é"]
    ),
    max_size=30,
)  # fmt: skip


@given(_pieces)
def test_whatever_is_printed_is_read_without_an_error(pieces: list[str]) -> None:
    found = read_junit("".join(pieces))
    if found is not None:
        assert found.tests >= found.bad >= 0
        assert found.ran >= found.bad


@given(
    st.integers(0, 20), st.integers(0, 5), st.integers(0, 5), st.text(alphabet=st.characters(exclude_characters="<>&"))
)
def test_what_is_whole_is_counted_whatever_surrounds_it(passed: int, failed: int, skipped: int, around: str) -> None:
    cases = "<testcase name='p'/>" * passed + "<testcase><failure/></testcase>" * failed
    cases += "<testcase><skipped/></testcase>" * skipped
    found = report(f"{around}\n<testsuite>{cases}</testsuite>\n{around}")
    assert (found.tests, found.failures, found.skipped) == (passed + failed + skipped, failed, skipped)
