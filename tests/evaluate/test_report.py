"""Summaries, tables and plots of small evaluations with numbers counted by hand."""

import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from agent.evaluate.plots import _ENDS, draw, in_terminal
from agent.evaluate.report import (
    Summary,
    details,
    markdown,
    pass_curve,
    pass_rates,
    summarise,
    table,
)
from agent.evaluate.results import Failure, Result
from agent.status import EnvironmentFailure


def row(task, sample, resolved, **changes):
    """A sample of a task; by its failure class, solved or wrong or not scored."""
    failure = {True: Failure.SOLVED, False: Failure.WRONG, None: Failure.ENVIRONMENT}[resolved]
    usual = {
        "model": "tiny",
        "variant": "visible",
        "repo": "pypi:shop==1.0",
        "family": "constants",
        "claimed": resolved is True,
        "failure": failure,
        "prompt_tokens": 100,
        "cached_tokens": 60,
        "completion_tokens": 10,
        "seconds": 8.0,
        "model_seconds": 5.0,
        "test_seconds": 2.0,
        "score_test_seconds": 1.0,
        "overhead_seconds": 1.0,
    }
    return Result(instance_id=task, sample=sample, resolved=resolved, **(usual | changes))


def results():
    """a: 2 of 4 right; b: 0 of 4, one falsely claimed; c: 1 of 3 scored; d: none scored."""
    return [
        *(row("a", sample, sample < 2) for sample in range(4)),
        row("b", 0, False, claimed=True, failure=Failure.FALSE_CLAIM, prompt_tokens=1000),
        *(row("b", sample, False, failure=Failure.NO_PATCH) for sample in range(1, 4)),
        *(
            row("c", n, r, family="", repo="/x/depot")
            for n, r in enumerate((True, False, False, None))
        ),
        *(row("d", sample, None, family="operators", claimed=True) for sample in range(4)),
    ]


def printed(*renderables, width=100):
    console = Console(file=io.StringIO(), width=width)
    for renderable in renderables:
        console.print(renderable)
    return console.file.getvalue()


def test_a_summary_counts_and_estimates():
    summary = summarise(results(), planned=20, problems=1)
    assert (summary.model, summary.variant) == ("tiny", "visible")
    assert (summary.tasks, summary.samples, summary.samples_per_task) == (4, 16, 4)
    assert (summary.planned, summary.problems, summary.solved_tasks) == (20, 1, 2)
    assert (summary.claimed, summary.false_claims, summary.unscored) == (8, 1, 5)
    assert summary.failures == {
        "solved": 3,
        "claimed, but wrong": 1,
        "wrong patch": 4,
        "no patch": 3,
    }
    assert summary.unscored_causes == {"environment": 5}
    assert sum(summary.failures.values()) + summary.unscored == summary.samples


def test_pass_at_k_leaves_out_what_was_not_scored():
    curve = summarise(results(), planned=16, problems=0).pass_at
    assert [(point.k, point.tasks) for point in curve] == [(1, 3), (2, 3), (3, 3), (4, 2)]
    wanted = [(1 / 2 + 1 / 3) / 3, (5 / 6 + 2 / 3) / 3, 2 / 3, 1 / 2]
    assert [point.estimate for point in curve] == pytest.approx(wanted)
    assert (curve[3].low, curve[3].high) == pytest.approx((0.0945, 0.9055), abs=5e-5)
    assert all(point.low <= point.estimate <= point.high for point in curve)
    assert pass_rates(results()) == {"a": 0.5, "b": 0.0, "c": pytest.approx(1 / 3)}


def test_k_ends_at_the_fewest_samples_of_any_task():
    assert [point.k for point in pass_curve([*results(), row("e", 0, True)])] == [1]


def test_costs_are_of_all_samples():
    summary = summarise(results(), planned=16, problems=0)
    assert (summary.prompt_tokens.total, summary.prompt_tokens.median) == (16 * 40 + 900, 40)
    assert (summary.cached_tokens.total, summary.completion_tokens.total) == (960, 160)
    assert (summary.seconds.total, summary.seconds.median) == (128, 8)
    seconds = summary.model_seconds, summary.test_seconds, summary.score_test_seconds
    assert seconds == (80, 32, 16)
    assert (summary.overhead_seconds, summary.overhead_share) == (16, 0.1)


def test_rates_by_family_and_repository():
    summary = summarise(results(), planned=16, problems=0)
    families = {rate.name: (rate.tasks, rate.samples, rate.solved) for rate in summary.families}
    assert families == {"(none)": (1, 3, 1), "constants": (2, 8, 1)}
    assert [rate.rate for rate in summary.families] == pytest.approx([1 / 3, 1 / 4])
    assert [rate.name for rate in summary.repositories] == ["depot", "shop"]


def test_a_summary_is_stable_and_survives_json():
    rows = results()
    summary = summarise(rows, planned=16, problems=0)
    assert summarise(rows[::-1], planned=16, problems=0) == summary
    text = summary.model_dump_json()
    assert json.loads(text)["schema"] == "apprentice.summary"
    assert Summary.model_validate_json(text) == summary


def test_nothing_ran():
    summary = summarise([], planned=8, problems=2)
    assert (summary.tasks, summary.pass_at, summary.overhead_share) == (0, (), 0.0)
    assert summary.seconds.median == 0.0
    shown = printed(table([summary]), *details(summary))
    assert "(none)" in shown
    assert "–" in shown
    assert "of 8" in shown
    assert printed(table([])).strip() == ""
    assert markdown([]) == ""
    assert in_terminal({}) == in_terminal({"a": []}) == ""


@pytest.mark.parametrize("other", [{"model": "large"}, {"variant": "issue"}])
def test_runs_are_not_mixed(other):
    with pytest.raises(ValueError, match="several runs"):
        summarise([row("a", 0, True), row("a", 1, True, **other)], planned=2, problems=0)


def test_a_sample_counts_once():
    with pytest.raises(ValueError, match="twice"):
        summarise([row("a", 0, True), row("a", 0, False)], planned=2, problems=0)


def test_tables_show_every_run_within_80_columns():
    one = [row("a", 0, True, model="[bold]m|x")]
    summaries = [summarise(results(), 20, 0), summarise(one, 1, 2)]
    shown = printed(table(summaries), width=80)
    assert max(map(len, shown.splitlines())) <= 80
    for text in ("tiny", "[bold]m|x", "27.8", "50.0", "(9–91)", "of 20", "pass@4"):
        assert text in shown
    assert table(summaries).row_count == 2
    lines = markdown(summaries).splitlines()
    assert lines[1] == "| --- | --- | --- | --- | --- | --- | --- | --- |"
    assert lines[2] == (
        "| tiny (visible) | 2 of 4 | 27.8 (4–76) | 50.0 (9–91) | 1 of 8 | 16 of 20 | 5 "
        "| 40 in, 10 out, 8.0 s |"
    )
    assert lines[3].startswith("| [bold]m\\|x (visible) | 1 of 1 | 100.0 (21–100) | – |")
    assert lines[5].endswith("Tasks that could not be run, by row: 0, 2.")


def test_details_show_failures_costs_families_and_what_was_not_scored():
    ends, costs, families, _ = (
        " ".join(printed(part).split()) for part in details(summarise(results(), 16, 0))
    )
    assert "claimed, but wrong 1 6.2" in ends
    assert "not scored: environment 5 31.2" in ends
    assert "seconds of overhead (10.0 % of all) 16" in costs
    assert "prompt tokens, not from cache 1,540 40" in costs
    assert "constants 2 1 8 25.0" in families


def test_costs_that_nobody_counted_are_not_shown_as_none():
    nothing = {"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0, "model_seconds": 0.0}
    summary = summarise([row("a", 0, True, **nothing)], 1, 0)
    assert markdown([summary]).splitlines()[2].endswith("| 0 | 8.0 s |")
    costs = printed(details(summary)[1])
    assert "tokens" not in costs
    assert "in the model" not in costs
    assert "in tests" in costs


def test_overhead_is_shown_of_runs_of_the_agent():
    given = [row("a", 0, True, seconds=0.0, overhead_seconds=0.0)]
    assert "overhead" not in printed(*details(summarise(given, 1, 0)))


def png_size(path):
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[-8:-4] == b"IEND"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def test_plots_are_images_and_the_same_each_time(tmp_path):
    runs = {"base": results(), "_tuned $x$": [row("a", n, True) for n in range(4)], "none": []}
    paths = draw(runs, tmp_path / "new" / "folder")
    names = ["failures.png", "pass-at-k.png", "solved-over-time.png", "families.png"]
    assert [path.name for path in paths] == names
    for path in paths:
        width, height = png_size(path)
        assert width == 1200
        assert height >= 400
    again = draw(runs, tmp_path)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in paths]


def test_every_end_of_a_sample_is_drawn():
    assert set(_ENDS) == set(Failure)
    assert len(set(_ENDS.values())) == len(_ENDS)


def test_plots_of_little_or_nothing(tmp_path):
    assert draw({}, tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
    unscored = draw({"broken": [row("a", 0, None)]}, tmp_path)
    assert [path.name for path in unscored] == ["failures.png"]
    single = {str(number): [row("a", 0, number % 2 == 0)] for number in range(12)}
    assert len(draw(single, tmp_path)) == 4


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFailure, match=r"file/failures\.png cannot be written"):
        draw({"a": results()}, tmp_path / "file")


def test_the_terminal_shows_pass_at_k_with_labels():
    runs = {"base": results(), "tuned": [row("a", n, n > 0) for n in range(4)]}
    shown = in_terminal(runs)
    for text in (
        "pass@k, n = 1–3 tasks, k ≤ 4",
        "k (samples)",
        "tasks solved (%)",
        "  o base",
        "  x tuned",
    ):
        assert text in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown


def test_the_terminal_shows_time_when_there_is_one_sample_and_keeps_no_state():
    runs = {"l" * 100: [row(task, 0, task != "b", seconds=200.0) for task in "abc"]}
    shown = in_terminal(runs)
    assert "Solved tasks over time, n = 3 tasks, k = 1" in shown
    assert "time of the agent (minutes)" in shown
    assert max(map(len, shown.splitlines())) <= 80
    in_terminal({"other": results()})
    assert in_terminal(runs) == shown


@pytest.mark.parametrize(
    ("module", "call"), [("matplotlib", "draw(runs, None)"), ("plotext", "in_terminal(runs)")]
)
def test_a_missing_plotting_library_is_named(module, call):
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from agent.evaluate.plots import draw, in_terminal\n"
        "from agent.status import EnvironmentFailure\n"
        f"runs = {{}}\ntry: {call}\nexcept EnvironmentFailure as e: print(e, e.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"Plots need {module}" in done.stdout
    assert "pip install 'apprentice-agent[eval]'" in done.stdout


def test_importing_loads_no_plotting_library():
    code = "import sys, agent.evaluate.plots, agent.evaluate.report; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"matplotlib", "plotext"} & set(done.stdout.split()) == set()
