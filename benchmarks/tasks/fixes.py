"""Real fixes as tasks: releases of libraries, each against the one before, in one file.

    python benchmarks/tasks/fixes.py --out results/fixes
    agent eval results/fixes/fixes.jsonl --model qwen2.5-coder-1.5b --timeout 240

Runs `agent tasks mine pypi:NAME` for each library, then keeps the fixes of at most `--lines`
changed lines. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from unidiff import PatchSet

from agent.tasks.instance import Instance, read_instances, write_instances

PACKAGES: Mapping[str, str] = {
    "natsort": "hypothesis pytest-mock",
    "mistune": "",
    "sqlparse": "",
    "markdown": "pyyaml",
    "click": "",
    "markupsafe": "",
    "inflect": "more_itertools typeguard",
    "packaging": "pretend tomli_w",
    "toolz": "",
    "pathspec": "",
    "jsonpatch": "jsonpointer",
    "schema": "",
    "cerberus": "",
    "uritemplate": "",
    "wcwidth": "",
    "isodate": "",
    "iso8601": "hypothesis pytz",
    "more-itertools": "",
    "itsdangerous": "freezegun",
    "rfc3986": "idna",
    "soupsieve": "beautifulsoup4 lxml html5lib",
    "humanize": "freezegun",
    "boltons": "",
    "marshmallow": "simplejson pytz packaging",
    "pyparsing": "",
    "croniter": "python-dateutil pytz tzlocal",
    "tinydb": "pyyaml",
    "furl": "orderedmultidict six",
    "jmespath": "",
    "bleach": "webencodings html5lib",
}
"""Libraries, and what their tests need beside pytest."""


def main() -> int:
    """Mine what has not been mined, then write the file and print how many there are."""
    options = _parser().parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found: list[Instance] = []
    for name, needs in PACKAGES.items():
        output = options.out / f"{name}.jsonl"
        if not (output.exists() or _mined(name, needs, output, options)):
            continue
        found += [row for row in read_instances(output)[0] if lines(row.patch) <= options.lines]
    write_instances(options.out / "fixes.jsonl", found)
    libraries = {row.repo.partition("==")[0] for row in found}
    print(f"{len(found)} fixes of {len(libraries)} libraries in {options.out / 'fixes.jsonl'}")
    return 0


def lines(patch: str) -> int:
    """How many lines a patch adds and takes away."""
    return sum(int(file.added + file.removed) for file in PatchSet(patch))


def _mined(name: str, needs: str, output: Path, options: argparse.Namespace) -> bool:
    words = [word for need in ("pytest", *needs.split()) for word in ("--package", need)]
    command = [sys.executable, "-m", "agent", "tasks", "mine", f"pypi:{name}", *words]
    command += ["--limit", str(options.limit), "--commits", str(options.releases)]
    command += ["--output", str(output), "--sandbox", options.sandbox, "--test-timeout", "90"]
    done = subprocess.run(command)
    if done.returncode in (130, -2):
        raise SystemExit(130)
    return done.returncode == 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("results") / "fixes")
    parser.add_argument("--limit", type=int, default=4, help="fixes of a library at most")
    parser.add_argument("--releases", type=int, default=10, help="of a library that are tried")
    parser.add_argument("--lines", type=int, default=40, help="changed lines of a fix at most")
    parser.add_argument("--sandbox", choices=["bubblewrap", "docker"], default="bubblewrap")
    return parser


if __name__ == "__main__":
    sys.exit(main())
