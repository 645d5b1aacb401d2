"""What the hook costs on a clean commit, beside the checks that it runs.

    python benchmarks/fix_overhead.py [--runs N] [--checks ruff,mypy,pytest] [--json]

A small project whose checks pass, with one file staged. In turn: the checks alone, one after the
other as a person runs them in the working tree; and `agent fix FILE`, as pre-commit runs it. Both
as whole processes, in the environment that runs this, with warm caches.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / "examples" / "shop"
BIN = Path(sys.executable).parent
COMMANDS = {
    "ruff": "ruff check --no-fix --force-exclude --output-format=concise shop/basket.py",
    "mypy": "mypy",
    "pytest": "pytest tests/test_basket.py",
}
SETTINGS = {
    "ruff": "[tool.ruff]\n",
    "mypy": '[tool.mypy]\nfiles = ["shop"]\n',
    "pytest": '[tool.pytest.ini_options]\npythonpath = ["."]\n',
}
TEST = "from shop.basket import Basket\n\n\ndef test_new():\n    assert Basket() is not None\n"


def project(folder: Path, names: list[str]) -> Path:
    """A repository with a clean change staged; returns its root."""
    root = folder / "shop"
    for name in ("basket.py", "catalogue.py", "__init__.py"):
        target = root / "shop" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((EXAMPLE / "shop" / name).read_bytes())
    (root / "tests").mkdir()
    (root / "tests" / "test_basket.py").write_text(TEST)
    (root / "pyproject.toml").write_text("".join(SETTINGS[name] for name in names))
    (root / ".gitignore").write_text("*_cache/\n__pycache__/\n")
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@localhost", "-C", str(root)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *words], check=True)
    with (root / "shop" / "basket.py").open("a") as file:
        file.write("\n\nEMPTY = Basket()\n")
    subprocess.run([*git, "add", "-A"], check=True)
    return root


def timed(root: Path, commands: list[list[str]]) -> float:
    """Wall seconds of the commands, one after the other. Each must succeed."""
    begun = time.perf_counter()
    for command in commands:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - begun


def main() -> None:
    """Measure both in turn, after one round that warms the caches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--checks", default="ruff,mypy,pytest")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = options.checks.split(",")
    alone = [[str(BIN / word) if i == 0 else word for i, word in enumerate(COMMANDS[n].split())]
             for n in names]  # fmt: skip
    hook = [[str(BIN / "agent"), "fix", "--env", sys.prefix, "shop/basket.py"]]
    times: dict[str, list[float]] = {"checks": [], "hook": []}
    with tempfile.TemporaryDirectory() as folder:
        root = project(Path(folder), names)
        for run in range(options.runs + 1):
            for name, commands in (("checks", alone), ("hook", hook)):
                seconds = timed(root, commands)
                if run:
                    times[name].append(seconds)
    checks, whole = (statistics.median(times[name]) for name in ("checks", "hook"))
    beyond = statistics.median(h - c for h, c in zip(times["hook"], times["checks"], strict=True))
    report = {
        "checks": names,
        "runs": options.runs,
        "checks_seconds": round(checks, 3),
        "hook_seconds": round(whole, 3),
        "beyond_seconds": round(beyond, 3),
        "ratio": round(whole / checks, 2),
    }
    if options.json:
        print(json.dumps(report))
        return
    print(
        f"{options.checks}, medians of {options.runs}: alone {checks:.2f} s, the hook {whole:.2f} s"
    )
    print(f"the hook takes {beyond:.2f} s more than the checks ({whole / checks:.2f} times)")


if __name__ == "__main__":
    main()
