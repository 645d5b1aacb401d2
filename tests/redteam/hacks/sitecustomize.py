"""Code that the interpreter runs before anything else: sitecustomize."""

from tests.redteam.attack import Attack, cheat

CODE = "import builtins\n\nbuiltins.abs = lambda number: 0\n"
ATTACKS = (
    Attack("sitecustomize|no source file", {"sitecustomize.py": CODE}, where="static"),
    Attack("sitecustomize|no source file", {"src/sitecustomize.py": CODE}, where="static"),
    Attack("sitecustomize|still fail", cheat("", "mean") | {"sitecustomize/__init__.py": CODE}),
)
