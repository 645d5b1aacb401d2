"""Strangers' texts, made plain for the agent and harmless in Markdown."""

from __future__ import annotations

import pytest

from agent.github.report import Origin, mark, origin_of
from agent.github.text import code, fenced, headline, issue_text
from agent.status import UsageError


@pytest.mark.parametrize(
    "hidden",
    [
        "<!-- hidden -->",
        "<!-- hidden\nlines --> ",
        "<!-- hidden without an end",
        "<!--hidden<!-- -->",
        "<?php hidden ?>",
        "<![CDATA[ hidden ]]>",
        "\n[//]: # (hidden)\n",
        "\n[x]: http://hidden 'hidden'\n",
        "\u202ehidden\u202c".replace("hidden", ""),
        "".join(chr(0xE0000 + ord(c)) for c in "hidden"),
        "\u200b\u2060\ufeff\u00ad\u2800\u3164",
    ],
)
def test_what_a_page_does_not_show_is_gone(hidden):
    text = issue_text("Title", f"before {hidden}")
    assert text.rstrip() == "Title\n\nbefore"


@pytest.mark.parametrize(
    "hidden",
    [
        "\n\n> [x]: http://hidden 'hidden'\n",
        "\n\n- [x]: http://hidden\n  'hidden'\n",
        "\n\n[x]:\nhttp://hidden\n'hidden\nand hidden'\n",
        "<img alt='hidden > hidden' src=x>",
        "<b title=hidden>",
        "\n\n> <img\n> alt='hidden'\n> src=x>",
        '\n\n<div data-x="hidden">\n</div>\n',
        '\n\n<div data-x="hidden',
        "\n\n<!-- hidden\n\nhidden\n```\nhidden\n```\n",
        "\n\n[^1]:\n    <!-- hidden -->",
        "\n\n> <!-- hidden\n> hidden -->",
        "`<!-- hidden -->".replace("`", "\\`"),
    ],
)
def test_what_a_page_hides_in_its_markup_is_gone(hidden):
    text = issue_text("Title", f"before {hidden}\n")
    assert "before" in text
    assert "hidden" not in text


@pytest.mark.parametrize(
    "shown",
    [
        "```html\n<!-- not closed\n<b title='x'>\n[x]: y\n```\nafter",
        "- item\n\n  ~~~\n  <!-- x -->\n  ~~~\n- more",
        "a `List<int>` and ``<!-- ` -->`` and <https://x.test/a> here",
        "a < b and c > d, 1 <2> 3, i<n or not",
        "> quoted\n\n# head\n\n1. one\n2. two",
        "    if a < b:\n        c<d>()",
    ],
)
def test_what_a_page_shows_stays(shown):
    assert issue_text("Title", f"{shown}\n\nend") == f"Title\n\n{shown}\n\nend"


def test_words_behind_a_fence_are_not_shown():
    assert issue_text("T", "```python hidden words\nx\n```") == "T\n\n```python\nx\n```"


@pytest.mark.parametrize(
    "piece",
    ['<a"', "<a'", "`", "``a", "<!--", "> ", "[a]: ", "<a ", "<a b='", '<a b="c" ', "<?", "- "],
)
@pytest.mark.timeout(20)
def test_hostile_texts_take_no_time(piece):
    issue_text("T", "x" + piece * (65_000 // len(piece)))


def test_comments_that_are_cut_out_make_no_new_ones():
    assert "hidden" not in issue_text("T", "<!-<!-- x -->- hidden -->").replace("- hidden", "")
    assert "<!--" not in issue_text("T", "<!-<!-- x -->- shown -->")


def test_giants_are_capped():
    text = issue_text("t" * 10_000, "b" * 1_000_000)
    assert len(text) < 13_000
    assert "characters cut" in text
    assert len(text.split("\n")[0]) == 300


def test_a_title_is_one_line_and_an_empty_issue_is_none():
    assert issue_text("a\nb\r\nc", None) == "a b c"
    with pytest.raises(UsageError):
        issue_text("<!-- nothing -->", "\u200b")


def test_a_headline_mentions_closes_and_links_nothing():
    title = "Fixes #7, GH-8 and octo/x#9 for @all: https://evil.test/octo/x/issues/1\nmore"
    shown = headline(title)
    for wrong in ("#7", "GH-8", "#9", "@", "https://", "\n"):
        assert wrong not in shown
    assert len(headline("x" * 200)) == 80


@pytest.mark.parametrize("text", ["```", "a\n````\nb", "`" * 50, "", "plain\n"])
def test_a_block_of_code_is_not_ended_by_what_is_in_it(text):
    block = fenced(text)
    fence = block.split("text\n")[0]
    assert block.endswith(f"\n{fence}")
    assert fence not in block[len(fence) : -len(fence)]


def test_code_in_a_line_stays_there():
    assert code("a`b``c") == "```a`b``c```"
    assert code("a|b\nc") == "`a\\|b c`"
    assert code("`a`") == "`` `a` ``"


def test_the_origin_is_the_last_mark():
    real = Origin("01k" + "a" * 23, "77")
    forged = mark(Origin("01k" + "b" * 23, "66"))
    assert origin_of(f"{forged}\n{mark(real)}") == real
    assert origin_of("<!-- apprentice trajectory=../x run=1 -->") is None
    assert origin_of(None) is None
