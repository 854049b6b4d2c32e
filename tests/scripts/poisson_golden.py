#!/usr/bin/env python3
"""One-sided bounds of a Poisson mean by scipy's chi-square quantiles.

write FILE      writes the golden file that host-tools/detect/src/poisson.rs is tested against
check FILE      computes it again and compares: exits 1 with the first difference

Rows are [events, confidence, lower bound, upper bound]. Needs scipy.
"""

import json
import pathlib
import sys

from scipy.stats import chi2

EVENTS = [0, 1, 2, 3, 5, 8, 13, 30, 100, 257, 1000, 20000]
CONFIDENCES = [0.5, 0.9, 0.95, 0.975, 0.99]
TOLERANCE = 1e-12


def rows():
    for events in EVENTS:
        for confidence in CONFIDENCES:
            lower = float(chi2.ppf(1 - confidence, 2 * events) / 2) if events else 0.0
            upper = float(chi2.ppf(confidence, 2 * events + 2) / 2)
            yield [events, confidence, lower, upper]


def write(path):
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows()) + "\n]\n")


def check(path):
    golden = json.loads(path.read_text())
    fresh = list(rows())
    if len(golden) != len(fresh):
        sys.exit(f"{len(golden)} rows instead of {len(fresh)}")
    for old, new in zip(golden, fresh):
        if any(abs(a - b) > TOLERANCE * max(1.0, abs(b)) for a, b in zip(old, new)):
            sys.exit(f"{old} instead of {new}")
    print(f"{len(fresh)} rows within {TOLERANCE:g}")


def main():
    actions = {"write": write, "check": check}
    if len(sys.argv) != 3 or sys.argv[1] not in actions:
        sys.exit(__doc__)
    actions[sys.argv[1]](pathlib.Path(sys.argv[2]))


if __name__ == "__main__":
    main()
