from __future__ import annotations

import pytest

from tools.hygiene import problems


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a\r\n", "1: has Windows line ends", id="carriage return"),
        pytest.param("a\nb", "2: does not end with a newline", id="no final newline"),
        pytest.param("a\n\n", "2: ends with an empty line", id="empty last line"),
        pytest.param("a \nb\n", "1: ends with spaces", id="trailing space"),
        pytest.param("a\n<<<<<<< ours\n", "2: is the mark of a merge conflict", id="conflict"),
    ],
)
def test_what_should_not_be_committed_is_named_with_its_line(text: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in problems(text))


@pytest.mark.parametrize("text", [pytest.param("", id="empty"), pytest.param("# title\n\ntext\n", id="text")])
def test_clean_text_has_no_problems(text: str) -> None:
    assert not list(problems(text))
