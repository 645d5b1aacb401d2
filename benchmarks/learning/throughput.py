"""Trained tokens a second on the same groups: packed, unpacked, and by TRL's GRPO.

python -m benchmarks.learning.throughput MODEL [--prompt 400] [--completion 75] [--json]
"""

from __future__ import annotations

from benchmarks.learning.processes import run, table

NAMES = ("grpo", "grpo unpacked", "trl grpo")


def main() -> None:
    """Measure and print."""
    _, reports = run(__doc__.splitlines()[0], NAMES)
    speed = {report["variant"]: report["tokens_per_second"] for report in reports}
    rows = [("variant", "trained tokens/s", "of TRL's", "peak MB")]
    for report in reports:
        own = report["tokens_per_second"]
        share = f"{own / speed['trl grpo']:.2f}"
        rows.append((report["variant"], f"{own:.1f}", share, f"{report['peak_mb']:,.0f}"))
    print(table(rows))


if __name__ == "__main__":
    main()
