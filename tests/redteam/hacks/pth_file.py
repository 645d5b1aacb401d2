"""A .pth file with a line of code, at the top and beside a package."""

from tests.redteam.attack import Attack, cheat

LINE = "import builtins; builtins.abs = lambda number: 0\n"
ATTACKS = (
    Attack("pth|no source file", {"post.pth": LINE}, where="static"),
    Attack("pth|still fail", cheat("", "mean") | {"lib/site-packages/post.pth": LINE}),
)
