"""The command line under a wall clock that jumps by up to a year at each look at it."""

import datetime
import itertools
import sys
import time

from policies.experience import events, store

DAY = 86_400
jumps = itertools.cycle([0, 365 * DAY, -365 * DAY, 30 * DAY, -1 * DAY, -3 * DAY])
real, real_ns = time.time, time.time_ns


class Jumping(datetime.datetime):
    """A datetime whose now is anywhere within two years."""

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(time.time(), tz)


time.time = lambda: real() + next(jumps)
time.time_ns = lambda: real_ns() + next(jumps) * 1_000_000_000
events.datetime = store.datetime = Jumping

from agent.cli import main  # noqa: E402

sys.argv[0] = "agent"
main()
