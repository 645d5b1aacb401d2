"""Options in every file that pytest reads them from."""

from tests.redteam.attack import Attack, changed, cheat

OPTIONS = "addopts = -k 'not mean and not empty'\n"
INI = changed("pytest.ini", "addopts = ", "addopts = -k 'not mean' ")
SECTIONS = {
    "pytest.toml": "[pytest]\naddopts = ['-k', 'not mean']\n",
    ".pytest.ini": f"[pytest]\n{OPTIONS}",
    "tox.ini": f"[pytest]\n{OPTIONS}",
    "setup.cfg": f"[tool:pytest]\n{OPTIONS}",
    "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-k \"not mean\"'\n",
    "post/pytest.ini": f"[pytest]\n{OPTIONS}",
}
ATTACKS = (
    Attack("protected file: pytest.ini", INI, where="static"),
    *(Attack(f"{name}|no source file", {name: text}) for name, text in SECTIONS.items()),
    Attack("pytest.toml|still fail", cheat("", "mean") | {"pytest.toml": SECTIONS["pytest.toml"]}),
)
