"""Which task is sampled next."""

from collections import Counter

import pytest

from agent.rollout.schedule import Draw, Schedule, Tally


def play(schedule, rates):
    """Draw until the budget is spent; each task solves its rate of every batch."""
    drawn = Counter()
    order = []
    while (draw := schedule.next()) is not None:
        order.append(draw)
        drawn[draw.instance_id] += draw.samples
        solved = round(rates[draw.instance_id] * draw.samples)
        schedule.record(draw, [n < solved for n in range(draw.samples)])
    return drawn, order


def test_every_task_first_then_those_that_are_solved_about_half_the_time():
    rates = {"never": 0.0, "half": 0.5, "always": 1.0}
    drawn, order = play(Schedule(list(rates), 16), rates)
    assert [draw.instance_id for draw in order[:3]] == ["never", "half", "always"]
    assert sum(drawn.values()) == 48
    assert drawn["half"] >= 2 * drawn["never"]
    assert drawn["half"] >= 2 * drawn["always"]
    assert min(drawn.values()) >= 4
    own = [draw.batch for draw in order if draw.instance_id == "half"]
    assert own == list(range(len(own)))


def test_worth_is_the_variance_that_is_expected():
    assert Tally(drawn=1).worth == pytest.approx(1 / 6)
    assert Tally(drawn=4, scored=4, solved=2).worth == pytest.approx(9 / 42 / 4)
    assert Tally(drawn=4, scored=4, solved=0).worth < Tally(drawn=4, scored=4, solved=1).worth


def test_what_was_drawn_is_not_drawn_again():
    schedule = Schedule(["a", "b"], 4)
    schedule.resume([(Draw("a", 0, 4), [True] * 4), (Draw("gone", 0, 4), [])])
    assert schedule.next() == Draw("b", 0, 4)
    assert schedule.next() is None


def test_samples_of_a_task_that_cannot_run_go_to_others():
    schedule = Schedule(["a", "b"], 4)
    first = schedule.next()
    schedule.give_up(first)
    others = [schedule.next(), schedule.next()]
    assert [draw.instance_id for draw in others] == ["b", "b"]
    assert schedule.next() is None
    schedule.give_up(others[0])
    assert schedule.next() is None


def test_a_task_that_failed_is_tried_again_whatever_others_have_used():
    schedule = Schedule(["a", "b"], 4)
    schedule.resume([(Draw("b", 0, 4), [True]), (Draw("b", 1, 4), [True])])
    assert schedule.next() == Draw("a", 0, 4)
    assert schedule.next() is None


def test_few_samples_are_drawn_at_once():
    assert Schedule(["a"], 3).next() == Draw("a", 0, 3)
    schedule = Schedule(["a"], 6)
    assert [schedule.next(), schedule.next(), schedule.next()] == [
        Draw("a", 0, 4), Draw("a", 1, 4), None,
    ]  # fmt: skip


def test_when_rates_are_measured_each_task_has_one_draw_of_all_its_samples():
    schedule = Schedule(["a", "b"], 6, even=True)
    first = schedule.next()
    schedule.give_up(first)
    assert (first, schedule.next(), schedule.next()) == (Draw("a", 0, 6), Draw("b", 0, 6), None)
