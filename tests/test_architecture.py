"""The house: who may import whom, what importing costs, what a wheel holds."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("agent", "tools", "policies")
HEAVY = {
    "torch", "transformers", "peft", "trl", "accelerate", "datasets", "matplotlib", "numpy",
    "litellm", "xllamacpp", "docker", "git", "tree_sitter", "httpx", "mcp",
    "github", "requests",
}  # fmt: skip


def imports(path, *, top_level):
    """Modules of ours that a file imports, at its top level alone or anywhere."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize(
    ("package", "forbidden"), [("tools", ("agent", "policies")), ("policies", ("agent", "tools"))]
)
def test_the_lower_floor_imports_nothing_above_or_beside_it(package, forbidden):
    for path in (ROOT / package).rglob("*.py"):
        wrong = [m for m in imports(path, top_level=False) if m.split(".")[0] in forbidden]
        assert wrong == [], path


def test_nothing_below_knows_what_uses_it():
    """The command line may import everything; what makes tasks is imported by it alone."""
    for path in (ROOT / "agent").rglob("*.py"):
        inside = path.relative_to(ROOT / "agent").parts[0]
        if inside not in ("cli", "fix", "schemas.py"):
            wrong = [m for m in imports(path, top_level=False) if m.startswith("agent.fix")]
            assert wrong == [], path


def test_weights_and_engines_know_nothing_of_torch():
    above = {"choose.py", "torch", "learning"}
    for path in (ROOT / "policies").rglob("*.py"):
        if path.relative_to(ROOT / "policies").parts[0] not in above:
            wrong = [m for m in imports(path, top_level=False) if m.startswith("policies.torch")]
            assert wrong == [], path


def test_modules_do_not_import_in_circles():
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    graph = {
        name: {m for m in imports(path, top_level=True) if m in modules and m != name}
        for name, path in modules.items()
    }
    done: set[str] = set()

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for needed in graph[name]:
                visit(needed, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def test_interfaces_stand_on_top():
    above = {"agent.cli": (), "agent.mcp": ("agent.cli",), "agent.api": ("agent.cli", "agent.mcp")}
    for path in (ROOT / "agent").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        used = set(imports(path, top_level=False))
        for interface, users in above.items():
            if name.startswith((interface, *users)) or name in ("agent.__init__", "agent.__main__"):
                continue
            wrong = [m for m in used if f"{m}.".startswith(f"{interface}.")]
            assert wrong == [] or name == "agent.schemas", path


def test_the_command_line_loads_nothing_heavy():
    probe = "import sys, agent.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


def test_learning_is_light_until_it_is_called():
    names = [f"policies.learning.{p.stem}" for p in (ROOT / "policies/learning").glob("*.py")]
    load = f"for n in {names!r}: importlib.import_module(n)"
    probe = f"import sys, importlib\n{load}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


def test_models_and_adapters_are_listed_without_anything_heavy():
    names = ["choose", "hub.adapters", "hub.lora", "torch.load", "torch.policy", "torch.score"]
    probe = f"import sys, {', '.join(f'policies.{name}' for name in names)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


def test_importing_prints_and_writes_nothing(tmp_path):
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.stem not in ("__main__", "pytest_inside", "supervisor_inside")
        and "inside" not in path.parts
    ]
    code = f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    environment = {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, env=environment, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_the_wheel_holds_templates_and_markers(tmp_path):
    tree = tmp_path / "tree"
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, tree]
    subprocess.run(build, check=True, capture_output=True)
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", next(tmp_path.glob("*.whl"))],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in ("agent/context/templates/task.txt", "agent/py.typed", "tools/sandbox/inside/"):
        assert name in names
    assert "tests/" not in names
