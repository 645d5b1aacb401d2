"""Curves: a line a step, a plot in the terminal, PNG and JSON."""

import json

import psutil

from policies.learning.report import draw, in_terminal, line, live, peak_memory_mb, write_rows

ROWS = [
    {"step": float(step), "loss": 1.0 / step, "reward": step / 10, "tokens_per_second": 30.0}
    for step in range(1, 11)
]


def test_json_says_what_the_curves_are(tmp_path):
    write_rows(tmp_path / "curves.json", ROWS)
    written = json.loads((tmp_path / "curves.json").read_text())
    assert written["rows"] == ROWS
    assert set(written["curves"]) == {"loss", "reward", "tokens_per_second"}
    assert list(tmp_path.iterdir()) == [tmp_path / "curves.json"]


def test_png_is_drawn_where_there_is_something(tmp_path):
    assert draw(ROWS, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not draw([], tmp_path / "none.png")
    assert draw([{"step": 1.0, "kl": 0.0}], tmp_path / "one.png")


def test_the_terminal_shows_a_curve_within_its_width():
    drawn = in_terminal(ROWS, "loss")
    assert "loss of the policy" in drawn
    assert max(map(len, drawn.splitlines())) <= 80
    assert in_terminal(ROWS, "entropy") == ""


def test_without_a_terminal_a_step_is_a_line(capsys):
    with live("grpo") as show:
        show(ROWS[0], 10)
    assert capsys.readouterr().err == ("step 1 of 10: loss 1, reward 0.1, tokens_per_second 30\n")
    assert line(ROWS[9], 10).startswith("step 10 of 10: loss 0.1, reward 1")
    with live("grpo", silent=True) as show:
        show(ROWS[0], 10)
    assert capsys.readouterr().err == ""


def test_memory_is_of_this_process():
    """The peak grows when more is held than ever before."""
    before = peak_memory_mb()
    free = before - psutil.Process().memory_info().rss / 2**20
    block = bytearray(int(free + 64) << 20)
    assert before + 32 <= peak_memory_mb() <= before + 256
    del block
