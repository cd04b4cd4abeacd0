"""Scenarios 2 and 3 at the level of the rules."""

from dataclasses import replace

import pytest

from runbook.ports import SignatureCheck, Tag
from runbook.rules.tags import judge_images, judge_tag
from runbook.rules.versions import check_candidate_name
from runbook.verdicts import Outcome
from tests.runbook.fakes import COMMIT, RELEASE, TAG_OBJECT, VERSION, digest, signed_tag

TAGS = ("v1.3.0", "v1.3.0-rc.9", "v1.4.0-rc.1", "v1.4.0-rc.2", "v1.4.0-rc.10", "v1.4.0-rc.3", "nightly", "v2.0.0-rc.1")
GOOD = SignatureCheck(True, "ann@example.com")


def judged(
    tag: Tag | None, check: SignatureCheck | None = GOOD, first_seen: tuple[str, str] | None = None
) -> tuple[Outcome, str]:
    verdict = judge_tag(tag, check, first_seen, VERSION)
    return verdict.outcome, verdict.code


def test_a_candidate_s_name_is_taken() -> None:
    assert check_candidate_name("v1.4.0-rc.2", TAGS).outcome is Outcome.PASS


@pytest.mark.parametrize(
    "version", ["v1.4.0", "1.4.0-rc.2", "v1.4.0-rc2", "v1.4.0-rc.0", "v1.4", "main", "", "$(rm -rf /)"]
)
def test_a_version_that_is_no_candidate_is_refused_for_staging(version: str) -> None:
    verdict = check_candidate_name(version, TAGS)
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "version.not_a_candidate")


def test_the_refusal_names_the_nearest_candidates_newest_first() -> None:
    remedy = check_candidate_name("v1.4.0", TAGS).remedy
    assert remedy == "The nearest that exist: v1.4.0-rc.10, v1.4.0-rc.3 and v1.4.0-rc.2"


def test_without_a_candidate_of_that_version_the_newest_of_any_are_named() -> None:
    assert "v2.0.0-rc.1, v1.4.0-rc.10 and v1.4.0-rc.3" in check_candidate_name("v7.0.0", TAGS).remedy


def test_where_no_candidate_exists_the_refusal_says_how_to_make_one() -> None:
    assert "none exists yet" in check_candidate_name("v1.0.0", ()).remedy


def test_ten_thousand_characters_are_not_quoted_back() -> None:
    assert len(check_candidate_name("x" * 10_000, TAGS).reason) < 300


def test_a_signed_tag_passes_and_names_its_signer_and_objects() -> None:
    verdict = judge_tag(signed_tag(), GOOD, None, VERSION)
    assert verdict.outcome is Outcome.PASS
    assert {e.name: e.value for e in verdict.evidence} == {
        "tag object": TAG_OBJECT,
        "commit": COMMIT,
        "signer": "ann@example.com",
    }


def test_a_missing_tag_is_refused_with_the_nearest() -> None:
    verdict = judge_tag(None, None, None, VERSION, ["v1.4.0-rc.1"])
    assert verdict.code == "tag.missing"
    assert "v1.4.0-rc.1" in verdict.remedy


def test_a_lightweight_tag_is_refused() -> None:
    assert judged(Tag(VERSION, COMMIT, None), None) == (Outcome.FAIL, "tag.lightweight")


def test_an_unsigned_tag_is_refused() -> None:
    assert judged(replace(signed_tag(), signature=None), None) == (Outcome.FAIL, "tag.unsigned")


@pytest.mark.parametrize(
    ("code", "expected"),
    [("unknown_key", "tag.unknown_key"), ("bad_signature", "tag.bad_signature"), ("unsupported", "tag.unsupported_signature")],
)  # fmt: skip
def test_a_signature_that_does_not_count_is_refused(code: str, expected: str) -> None:
    assert judged(signed_tag(), SignatureCheck(False, code=code, reason="no")) == (Outcome.FAIL, expected)


def test_a_signature_that_was_not_verified_opens_nothing() -> None:
    assert judged(signed_tag(), None) == (Outcome.NO_DATA, "tag.not_verified")


def test_a_moved_tag_is_refused_with_both_objects() -> None:
    verdict = judge_tag(signed_tag(), GOOD, ("b" * 40, "d" * 40), VERSION)
    assert verdict.code == "tag.moved"
    assert all(sha in verdict.reason for sha in ("b" * 40, "d" * 40, TAG_OBJECT, COMMIT))


def test_a_tag_signed_again_on_the_same_commit_has_moved() -> None:
    assert judged(signed_tag(), first_seen=("b" * 40, COMMIT)) == (Outcome.FAIL, "tag.moved")


def test_a_tag_that_stands_where_it_was_first_seen_passes() -> None:
    assert judged(signed_tag(), first_seen=(TAG_OBJECT, COMMIT))[0] is Outcome.PASS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"tag {VERSION}", "tag v1.3.0-rc.1"),
        (f"object {COMMIT}", "object " + "e" * 40),
        ("type commit", "type tree"),
        (f"tag {VERSION}\n", f"tag {VERSION}\ntag v9.9.9-rc.1\n"),
        (f"tag {VERSION}\n", "\n"),
    ],
)
def test_a_good_signature_on_words_about_something_else_is_refused(old: str, new: str) -> None:
    tag = signed_tag()
    assert judged(replace(tag, payload=tag.payload.replace(old, new))) == (Outcome.FAIL, "tag.payload_mismatch")


def test_words_in_the_message_are_no_headers() -> None:
    tag = signed_tag()
    payload = "object " + "e" * 40 + f"\ntype commit\ntag {VERSION}\ntagger A <a> 1 +0000\n\nobject {COMMIT}\n"
    assert judged(replace(tag, payload=payload)) == (Outcome.FAIL, "tag.payload_mismatch")


ASKED = [(image.workload, image.repository) for image in RELEASE.images]
DIGESTS: dict[str, str | None] = {image.repository: image.digest for image in RELEASE.images}


def test_images_with_the_frozen_digests_pass() -> None:
    (verdict,) = judge_images(ASKED, DIGESTS, VERSION, RELEASE.images)
    assert verdict.outcome is Outcome.PASS


def test_every_missing_and_every_changed_image_is_named() -> None:
    found = {**DIGESTS, ASKED[0][1]: None, ASKED[1][1]: digest("f")}
    verdicts = judge_images(ASKED, found, VERSION, RELEASE.images)
    assert [v.code for v in verdicts] == ["image.missing", "image.digest_changed"]
    assert digest("2") in verdicts[1].reason
    assert digest("f") in verdicts[1].reason


def test_what_is_no_digest_is_never_frozen() -> None:
    (verdict,) = judge_images(ASKED[:1], {ASKED[0][1]: "latest"}, VERSION)
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "image.not_a_digest")
