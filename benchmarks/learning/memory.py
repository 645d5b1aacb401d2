"""Peak memory of training with adapters on one base, beside separate copies and TRL's GRPO.

python -m benchmarks.learning.memory MODEL [--dtype bfloat16] [--checkpointing] [--json]
"""

from __future__ import annotations

from benchmarks.learning.processes import run, table

NAMES = ("inference", "grpo", "grpo copies", "trl grpo", "ppo", "ppo copies")


def main() -> None:
    """Measure and print."""
    options, reports = run(__doc__.splitlines()[0], NAMES)
    peak = {report["variant"]: report["peak_mb"] for report in reports}
    rows = [("variant", "peak MB", "of inference", "of PPO's four copies")]
    for name in NAMES:
        shares = (peak[name] / peak["inference"], peak[name] / peak["ppo copies"])
        rows.append((name, f"{peak[name]:,.0f}", *(f"{share:.2f}" for share in shares)))
    print(table(rows))
    print(
        f"\nWeights: {reports[0]['weights_mb']:,.0f} MB ({options.dtype}); libraries alone: "
        f"{reports[0]['imported_mb']:,.0f} MB. A group of {options.samples} samples, prompt of "
        f"{options.prompt} tokens, completions of {options.completion}; recomputed activations: "
        f"{'yes' if options.checkpointing else 'no'}."
    )


if __name__ == "__main__":
    main()
