"""A small library with bugs, and the head of a file of tests that show them."""

from __future__ import annotations

LIBRARY = """\
import time
import warnings


class Item:
    pass


class Basket:
    def __init__(self, *prices):
        self.prices = list(prices)
        if -1 in prices:
            raise OSError("no price")

    def add(self, price):
        self.prices.append(price)

    def total(self):
        return sum(self.prices[1:])


def median(values):
    return sorted(values)[len(values) // 2]


def parse(text):
    return {"a": 1}[text]


def check(number):
    return number


def make(number):
    return Item()


def words(text):
    return text.split()


def wait():
    time.sleep(60)


def insist(number):
    assert number > 3, "too small"
    assert number > 4


def wrap(text):
    try:
        return parse(text)
    except KeyError as error:
        raise ValueError("not known: " + text) from error


def none(values):
    values = None


def apply(function):
    return function(1)


def fail_long():
    raise ValueError("one\\ntwo")
"""

TESTS = """\
import math
import unittest
import warnings

import pytest

import lib
from lib import (
    Basket, apply, check, fail_long, insist, make, median, none, parse, wait, words, wrap
)

NUMBERS = [1, 2, 3, 4]
CASES = [(9, "p"), (10, "q-r")]
ROWS = (("a", ["a"]), ("b c", ["b"]))


def double(n):
    return twice * n


twice = 2


@pytest.fixture
def item():
    return parse("of the fixture")


def helper(values):
    assert median(values) == 1.5


class TestGroup(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(median([1, 2, 3, 4]), 2.5)

    def test_equal_message(self):
        self.assertEqual(median([1, 2]), 1.5, "of two")

    def test_lists(self):
        self.assertEqual(words("a b"), ["a", "c"])

    def test_in(self):
        self.assertIn("z", words("a b"))

    def test_true(self):
        self.assertTrue(check(0))

    def test_none(self):
        self.assertIsNone(check(5))

    def test_almost(self):
        self.assertAlmostEqual(check(5), 5.5, places=3)

    def test_raises(self):
        with self.assertRaises(ValueError):
            check(3)

    def test_raises_called(self):
        self.assertRaises(ValueError, check, 3)

    def helper(self):
        return 1

    def test_helper(self):
        self.assertEqual(check(self.helper()), 2)

    def test_raises_regex(self):
        with self.assertRaisesRegex(KeyError, "y+"):
            parse("x")

    def test_raises_called_wrongly(self):
        self.assertRaises(ValueError, parse, "x")

    def test_constant(self):
        self.assertIn("z", NUMBERS)

    def test_raised(self):
        self.assertEqual(parse("b"), 1)


"""
