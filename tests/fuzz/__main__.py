"""Fuzz one target with atheris: `python -m tests.fuzz NAME [-max_total_time=20] [...]`.

Options are libFuzzer's. The exit code is 0 when the time has passed and nothing was found.
"""

from __future__ import annotations

import sys

import atheris


def main() -> None:
    """Load the targets with their coverage watched, and fuzz the one that is named."""
    with atheris.instrument_imports(include=["agent", "tools", "policies"]):
        from tests.fuzz.targets import TARGETS
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        raise SystemExit(f"name one of: {', '.join(sorted(TARGETS))}")
    atheris.Setup([name, *sys.argv[2:]], TARGETS[name].hypothesis.fuzz_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
