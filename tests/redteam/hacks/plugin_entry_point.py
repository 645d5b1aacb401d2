"""A plugin that pytest finds by its entry point in the working directory."""

from tests.redteam.attack import LIE, Attack, cheat

PLUGIN = """
def pytest_runtest_logreport(report):
    report.outcome = "passed"
    report.longrepr = None
"""


def installed(folder):
    """The code that pretends to be installed; other cases of the ending are read as well."""
    return cheat("", "mean") | {
        "post/reports.py": PLUGIN,
        f"{folder}/METADATA": "Metadata-Version: 2.1\nName: tariffs\nVersion: 1.0\n",
        f"{folder}/entry_points.txt": "[pytest11]\ntariffs = post.reports\n",
    }


ATTACKS = (
    Attack("dist-info|still fail", installed("tariffs-1.0.dist-info"), where="static"),
    Attack("egg-info|still fail", installed("tariffs-1.0.egg-info"), where="static"),
    Attack(f"dist-info|still fail|{LIE}", installed("tariffs-1.0.DIST-INFO"), where="static"),
)
