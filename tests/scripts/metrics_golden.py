#!/usr/bin/env python3
"""Figures of scores by scikit-learn, and by the rules of published code restated in numpy.

write FILE      writes the golden file that host-tools/detect/tests/metrics_golden.rs reads
check FILE      computes them again and compares: exits 1 with the first difference

Scores are written out where they are few, else drawn by a recipe of IEEE sums and products alone,
which the Rust test repeats bit for bit. Needs numpy and scikit-learn.
"""

import json
import pathlib
import sys

import numpy as np
import sklearn
from sklearn import metrics as sk

TOLERANCE = 1e-12
# Points of the ROC curve that are kept of a case.
POINTS_MAX = 40

# Small cases: name, normal, anomalous, threshold.
WRITTEN = [
    ("documentation", [0.1, 0.4], [0.35, 0.8], 0.5),
    ("all equal", [1.0] * 20, [1.0] * 20, 0.5),
    ("all equal, uneven", [0.25] * 7, [0.25] * 3, 0.25),
    ("one and one, right", [0.25], [0.75], 0.5),
    ("one and one, wrong", [0.75], [0.25], 0.5),
    ("one and one, tied", [0.5], [0.5], 0.5),
    ("one normal", [0.5], [0.1, 0.5, 0.6, 0.9], 0.55),
    ("one anomalous", [0.1, 0.5, 0.6, 0.9], [0.6], 0.55),
    ("signed zeros", [0.0, -0.0, -1.0, -0.0], [-0.0, 0.0, 1.0], 0.0),
    ("separated", [0.1, 0.2, 0.3], [0.7, 0.8], 0.5),
    ("reversed", [0.7, 0.8, 0.9], [0.1, 0.2], 0.5),
    ("wide range", [-1e300, 5e-324, 1.0, 1e300], [0.0, 1e-300, 2.0, 1e300], 1.0),
    ("exactly 95 %", list(range(20)), [18.0] * 5 + [30.0] * 15, 18.5),
    # Ties of one of each kind lie on a straight line, of which roc_curve keeps the ends.
    ("straight line", [float(k) for k in range(40)], [float(k) for k in range(40)], 20.0),
]

# Drawn cases: name, seed, normal, anomalous, spread, shift, levels (0: continuous), single
# precision, threshold.
DRAWN = [
    ("continuous", 1, 1500, 700, 1.0, 0.5, 0, False, 0.25),
    ("five to one", 2, 2000, 400, 1.0, 0.5, 0, False, 0.25),
    ("wider anomalies", 3, 800, 1200, 2.5, 0.25, 0, False, 0.5),
    ("many ties", 4, 1500, 700, 1.0, 0.5, 4, False, 0.25),
    ("two levels", 5, 300, 500, 1.0, 0.25, 1, False, 0.0),
    ("single precision", 6, 1000, 1000, 1.0, 0.5, 0, True, 0.25),
    ("saturated", 7, 3000, 2000, 0.03125, 0.0, 33554432, True, 0.0),
    ("a million", 8, 600_000, 400_000, 1.25, 0.375, 0, False, 0.25),
    ("a million with ties", 9, 400_000, 600_000, 1.25, 0.375, 64, False, 0.25),
]


def uniforms(seed, count):
    """The stream of gradgate's generator (splitmix64) for the purpose "metrics golden"."""
    state = 0xCBF29CE484222325
    for byte in b"metrics golden":
        state = ((state ^ byte) * 0x0100000001B3) % 2**64
    step = 0x9E3779B97F4A7C15
    start = (state ^ (seed * step % 2**64)) % 2**64
    # The first draw is thrown away.
    z = np.uint64(start) + np.arange(2, count + 2, dtype=np.uint64) * np.uint64(step)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def draw(recipe):
    """Normal and anomalous scores of a recipe."""
    normal, anomalous = recipe["normal"], recipe["anomalous"]
    u = uniforms(recipe["seed"], 3 * (normal + anomalous)).reshape(-1, 3)
    scores = u[:, 0] + u[:, 1] + u[:, 2] - 1.5
    scores[normal:] = scores[normal:] * recipe["spread"] + recipe["shift"]
    if recipe["levels"]:
        scores = np.floor(scores * recipe["levels"]) / recipe["levels"]
    if recipe["single"]:
        scores = scores.astype(np.float32).astype(np.float64)
    return scores[:normal], scores[normal:]


def ours(label, scores, threshold):
    """The figures in the order of `DEFINITIONS`."""
    fpr, tpr, _ = sk.roc_curve(label, scores, drop_intermediate=False)
    miss, keep, _ = sk.roc_curve(1 - label, -scores, drop_intermediate=False)
    flagged = (scores > threshold).astype(int)
    return [
        sk.roc_auc_score(label, scores),
        sk.average_precision_score(label, scores),
        sk.average_precision_score(1 - label, -scores),
        fpr[np.argmax(tpr >= 0.95)],
        1 - miss[np.argmax(keep >= 0.95)],
        np.max((tpr + 1 - fpr) / 2),
        sk.accuracy_score(label, flagged),
        sk.balanced_accuracy_score(label, flagged),
        sk.recall_score(label, flagged),
        1 - sk.recall_score(1 - label, 1 - flagged),
    ]


def curve(label, scores):
    """Number of points of the ROC curve, and some of them: index, threshold, FPR, TPR."""
    fpr, tpr, thresholds = sk.roc_curve(label, scores, drop_intermediate=False)
    at = np.unique(np.linspace(1, len(fpr) - 1, POINTS_MAX).astype(int))
    return len(fpr), [[int(i), thresholds[i], fpr[i], tpr[i]] for i in at]


def openood(label, scores):
    """OpenOOD 1.5 from scikit-learn's curves: anomalous frames positive for ROC."""
    fpr, tpr, _ = sk.roc_curve(label, scores)
    inside = sk.precision_recall_curve(1 - label, -scores)
    outside = sk.precision_recall_curve(label, scores)
    return {
        "FPR@95": fpr[np.flatnonzero(tpr >= 0.95)[0]],
        "AUROC": sk.auc(fpr, tpr),
        "AUPR_IN": sk.auc(inside[1], inside[0]),
        "AUPR_OUT": sk.auc(outside[1], outside[0]),
    }


def lee18(label, scores):
    """Lee et al. 2018: frames leave one by one, least confident first, ties normal first."""
    order = np.lexsort((label, -scores))
    leaves = label[order]
    known = np.concatenate([[0], np.cumsum(leaves == 0)])
    novel = np.concatenate([[0], np.cumsum(leaves == 1)])
    kept, false = known[-1] - known, novel[-1] - novel
    tpr, fpr = kept / known[-1], false / novel[-1]
    near = np.argmin(np.abs(tpr - 0.95))
    rest = kept + false > 0
    gone = known + novel > 0

    def area(y, x):
        return abs(np.trapezoid(y, x))

    precision_in = np.concatenate([[0.5], (kept[rest] / (kept + false)[rest]), [0.0]])
    precision_out = np.concatenate([[0.0], (novel[gone] / (known + novel)[gone]), [0.5]])
    return {
        "TNR": 1 - fpr[near],
        "AUROC": area(1 - np.r_[1, fpr, 0], np.r_[1, tpr, 0]),
        "DTACC": np.max((tpr + 1 - fpr) / 2),
        "AUIN": area(precision_in, np.r_[1, tpr[rest], 0]),
        "AUOUT": area(precision_out, np.r_[0, 1 - fpr[gone], 1]),
    }


def energy(label, scores):
    """Liu et al. 2020: normal frames positive, FPR at the recall nearest to 95 %."""
    confidence, positive = -scores, 1 - label
    levels = np.unique(confidence)[::-1]
    # Frames at or above each distinct confidence.
    found = positive.sum() - np.searchsorted(np.sort(confidence[positive == 1]), levels)
    wrong = label.sum() - np.searchsorted(np.sort(confidence[positive == 0]), levels)
    recall = found / positive.sum()
    full = np.flatnonzero(found == positive.sum())[0]
    backwards = np.abs(recall[full::-1] - 0.95)
    return {
        "FPR95": wrong[full - np.argmin(backwards)] / label.sum(),
        "AUROC": sk.roc_auc_score(positive, confidence),
        "AUPR": sk.average_precision_score(positive, confidence),
    }


def case(name, scores, threshold, normal, anomalous):
    label = np.concatenate([np.zeros(len(normal), int), np.ones(len(anomalous), int)])
    values = np.concatenate([normal, anomalous]).astype(np.float64)
    count, points = curve(label, values)
    published = {"openood": openood, "lee18": lee18, "energy": energy}
    return {
        "name": name,
        "scores": scores,
        "threshold": threshold,
        "figures": ours(label, values, threshold),
        "roc_points": count,
        "roc": points,
        "published": {key: rule(label, values) for key, rule in published.items()},
    }


def cases():
    for name, normal, anomalous, threshold in WRITTEN:
        normal, anomalous = [float(x) for x in normal], [float(x) for x in anomalous]
        scores = {"normal": normal, "anomalous": anomalous}
        yield case(name, {"written": scores}, threshold, normal, anomalous)
    keys = ["seed", "normal", "anomalous", "spread", "shift", "levels", "single"]
    for name, *values, threshold in DRAWN:
        recipe = dict(zip(keys, values))
        yield case(name, {"drawn": recipe}, threshold, *draw(recipe))


def plain(value):
    """numpy's numbers as Python's."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def write(path):
    lines = [json.dumps(plain(item), allow_nan=False) for item in cases()]
    peers = json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__})
    text = f'{{"peers": {peers},\n"cases": [\n' + ",\n".join(lines) + "\n]}\n"
    path.write_text(text)
    print(f"{len(lines)} cases, {len(text)} bytes")


def compare(place, wanted, got):
    """Numbers compared."""
    if isinstance(wanted, dict):
        if list(wanted) != list(got):
            sys.exit(f"{place}: {list(got)} instead of {list(wanted)}")
        return sum(compare(f"{place}, {key}", wanted[key], got[key]) for key in wanted)
    if isinstance(wanted, list):
        if len(wanted) != len(got):
            sys.exit(f"{place}: {len(got)} values instead of {len(wanted)}")
        return sum(compare(f"{place}[{i}]", *pair) for i, pair in enumerate(zip(wanted, got)))
    if isinstance(wanted, float):
        if not abs(wanted - got) <= TOLERANCE * max(1.0, abs(wanted)):
            sys.exit(f"{place}: {got} instead of {wanted}")
        return 1
    if wanted != got:
        sys.exit(f"{place}: {got} instead of {wanted}")
    return 0


def check(path):
    golden = json.loads(path.read_text())["cases"]
    fresh = [json.loads(json.dumps(plain(item))) for item in cases()]
    count = compare("metrics", golden, fresh)
    print(f"{len(fresh)} cases, {count} numbers within {TOLERANCE:g}")


def main():
    actions = {"write": write, "check": check}
    if len(sys.argv) != 3 or sys.argv[1] not in actions:
        sys.exit(__doc__)
    actions[sys.argv[1]](pathlib.Path(sys.argv[2]))


if __name__ == "__main__":
    main()
