"""What is read of a YAML file: its values, as they were written down."""

from __future__ import annotations

from runbook.documents.tree import read_tree


def test_a_folded_text_is_one_line_and_holds_nothing_that_nobody_wrote() -> None:
    text = "title: >\n  Raise the number\n  of pods\n\n  on Fridays\nquery: >-\n  up\n  == 1\nscript: |\n  # stays\n  run\n"
    assert read_tree(text, "forge.yaml").values == {
        "title": "Raise the number of pods\non Fridays\n",
        "query": "up == 1",
        "script": "# stays\nrun\n",
    }


def test_comments_leave_no_trace_and_places_count_them() -> None:
    tree = read_tree("# first\na: 1 # beside\n\n# between\nb:\n  # before\n  - c\n", "forge.yaml")
    assert tree.values == {"a": 1, "b": ["c"]}
    assert tree.keys[("b",)] == (5, 1)
    assert tree.places["b", 0] == (7, 5)
