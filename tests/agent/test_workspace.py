"""What a workspace takes from a repository."""

from agent.workspace import _own_modules


def test_own_modules_are_hidden_and_shared_ones_are_not():
    contents = {
        "shop/__init__.py": b"",
        "src/till/__init__.py": b"",
        "lib/cart/__init__.py": b"",
        "tool.py": b"",
        "setup.py": b"",
        "conftest.py": b"",
        "src/__init__.py": b"",
        "zope/__init__.py": b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
        "shop/deep/__init__.py": b"",
    }
    assert _own_modules(contents) == ("cart", "shop", "till", "tool")
