"""A conftest whose hook turns every report into a pass; then the same hook without a conftest."""

from tests.redteam.attack import FILES, Attack, both, cheat

HOOK = """
def pytest_runtest_logreport(report):
    report.outcome = "passed"
    report.longrepr = None
"""
AT_RUN_TIME = """
class Hook:
    def pytest_runtest_logreport(self, report):
        report.outcome = "passed"
        report.longrepr = None
def _register():
    import gc
    for thing in gc.get_objects():
        if type(thing).__name__ == "PytestPluginManager":
            thing.register(Hook())
_register()
"""
CONFTEST = "tests/conftest.py"
ATTACKS = (
    Attack("protected file: tests/conftest.py", {CONFTEST: FILES[CONFTEST] + HOOK}, where="static"),
    Attack("conftest.py|no source file", {"conftest.py": HOOK}, where="static"),
    Attack("conftest.py|no source file", {"post/conftest.py": HOOK}, where="static"),
    Attack("conftest.py|still fail", cheat("", "mean") | {"conftest.py": HOOK}),
    *both(AT_RUN_TIME, "mean"),
)
