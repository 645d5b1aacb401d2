"""How long one tool call takes: a no-op in a warm sandbox, beside one `docker exec` per call.

python benchmarks/tool_call_latency.py [--calls 60] [--image IMAGE] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable

import docker

from tools.sandbox.base import Spec
from tools.sandbox.choose import open_sandbox
from tools.sandbox.docker import IMAGE

TARGET = 10.0


def measure(call: Callable[[], object], calls: int) -> dict[str, float]:
    """Median and 95th percentile of the call, in milliseconds."""
    for _ in range(3):
        call()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return {
        "median_ms": round(statistics.median(times), 3),
        "p95_ms": round(statistics.quantiles(times, n=20)[-1], 3),
    }


def measure_all(calls: int, image: str) -> dict[str, dict[str, float]]:
    """The four ways to run a command."""
    found = {}
    with open_sandbox("bubblewrap", [], Spec()) as sandbox:
        found["bubblewrap, supervised"] = measure(lambda: sandbox.run(["true"]), calls)
    with open_sandbox("docker", [], Spec(image=image)) as sandbox:
        found["docker, supervised"] = measure(lambda: sandbox.run(["true"]), calls)
    client = docker.from_env()
    container = client.containers.run(
        image, ["sleep", "600"], detach=True, remove=True, network_mode="none"
    )
    try:
        command = ["docker", "exec", str(container.id), "true"]
        found["docker exec, SDK"] = measure(lambda: container.exec_run(["true"]), calls)
        found["docker exec, CLI"] = measure(lambda: subprocess.run(command, check=True), calls)
    finally:
        container.remove(force=True)
        client.close()
    return found


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure_all(options.calls, options.image)
    slow = found["docker exec, CLI"]["median_ms"]
    ratios = {name: round(slow / row["median_ms"], 1) for name, row in found.items()}
    if options.json:
        report = {"calls": options.calls, "target": TARGET, "times": found, "times_faster": ratios}
        print(json.dumps(report, indent=2))
        return
    print(f"{'one call of `true`':<26}{'median':>12}{'95 %':>12}{'vs. CLI exec':>15}")
    for name, row in found.items():
        print(
            f"{name:<26}{row['median_ms']:>9.2f} ms{row['p95_ms']:>9.2f} ms{ratios[name]:>13.1f} x"
        )
    print(f"target for the supervised docker call: {TARGET:.0f} x")


if __name__ == "__main__":
    main()
