"""Runs exported ONNX files in onnxruntime and compares them with what gradgate expects.

cases FOLDER                       NAME.onnx, NAME.input (f32) and NAME.expected (f64: all outputs,
                                   one after the other) for every NAME in the folder
model EXPANDED.onnx REFERENCE [FOLDER]
                                   a whole classifier against float64 automatic differentiation
                                   (safetensors: images, logits, squared_norms); of each frame
                                   beyond the limit FOLDER gets FRAME.image (f32), FRAME.norms
                                   (f64) and FRAME.masks (a byte per unit of the outputs relu/..)
family EXPANDED.onnx REFERENCE     prints the errors of a network of `cargo xtask families` as lines
                                   key=value, those of PyTorch's own f32 beside: its parameters
                                   stand in the file's metadata, norms far below the frame's
                                   largest count against a part of that

Needs numpy, onnx, onnxruntime, safetensors. Exits 1 with the reason on standard error.
"""

import collections
import pathlib
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort

# One op in f32 against f64, relative to the largest element; sums of signed terms may cancel.
OP_TOLERANCE = 1e-5
# The parity of f32 executors: median over frames, and at least 29 of 32 frames.
MEDIAN_LIMIT = 1e-5
FRAME_LIMIT = 1e-4
KINKED_FRAMES = 3 / 32
# Of the largest norm of the frame: what a zero gradient keeps of rounding is less.
FLOOR = 1e-8


def session(path):
    """Checks the file and loads it on one thread of the CPU."""
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path))
    domains = {node.domain for node in model.graph.node} | {o.domain for o in model.opset_import}
    if domains - {"", "ai.onnx"}:
        sys.exit(f"{path}: operators outside the default domain: {sorted(domains)}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def case_error(path):
    """Worst relative error over a case's outputs, each relative to its largest element."""
    expected = np.fromfile(path.with_suffix(".expected"), "<f8")
    runner = session(path)
    image = runner.get_inputs()[0]
    frame = np.fromfile(path.with_suffix(".input"), "<f4").reshape(image.shape)
    worst = 0.0
    for output, got in zip(runner.get_outputs(), runner.run(None, {image.name: frame})):
        if list(got.shape) != output.shape:
            raise ValueError(f"{output.name} has shape {got.shape}, declared {output.shape}")
        wanted, expected = expected[: got.size], expected[got.size :]
        difference = np.abs(got.ravel().astype("f8") - wanted).max()
        error = difference / max(np.abs(wanted).max(), 1e-30)
        worst = max(worst, error) if np.isfinite(error) else np.inf
    if expected.size:
        raise ValueError(f"{expected.size} more elements were expected")
    return worst


def check_cases(folder):
    """Every case of the folder; prints the worst relative error per op."""
    worst = collections.defaultdict(float)
    count = collections.Counter()
    failures = []
    for path in sorted(pathlib.Path(folder).glob("*.onnx")):
        op = path.stem.split(".")[0]
        try:
            error = case_error(path)
        except Exception as reason:  # onnx and onnxruntime raise many kinds
            failures.append(f"{path.stem}: {reason}")
            continue
        worst[op] = max(worst[op], error)
        count[op] += 1
        if not error <= OP_TOLERANCE:
            failures.append(f"{path.stem}: relative error {error:.3g}")
    for op in sorted(worst):
        print(f"{op:28} {count[op]:4} cases, worst relative error {worst[op]:.2e}")
    if failures or not count:
        sys.exit("\n".join(failures) or f"{folder}: no cases")


def frame_errors(got, expected):
    """Worst relative error per row."""
    error = np.abs(got - expected) / np.maximum(np.abs(expected), 1e-30)
    return error.max(axis=1)


def write_frame(folder, index, image, outputs):
    """What decides whether a frame differs by a kink only: see the test that calls."""
    stem = pathlib.Path(folder) / str(index)
    masks = [value.ravel() > 0 for name, value in outputs.items() if name.startswith("relu/")]
    image.astype("<f4").tofile(stem.with_suffix(".image"))
    outputs["squared_norms"].astype("<f8").tofile(stem.with_suffix(".norms"))
    np.concatenate(masks).astype("u1").tofile(stem.with_suffix(".masks"))


def check_model(path, reference, folder=None):
    """The squared norms and logits of every reference image."""
    from safetensors.numpy import load_file

    tensors = load_file(reference)
    runner = session(path)
    image = runner.get_inputs()[0]
    names = [output.name for output in runner.get_outputs()]
    frames = tensors["images"]
    if frames.dtype == np.uint8:
        frames = frames.astype("f4") / np.float32(255)
    frames = frames.astype("f4")
    rows = []
    seconds = []
    for frame in frames:
        begin = time.perf_counter()
        results = runner.run(None, {image.name: frame[None]})
        seconds.append(time.perf_counter() - begin)
        rows.append(dict(zip(names, (result.astype("f8") for result in results))))
    got = np.concatenate([row["squared_norms"] for row in rows])
    norms = frame_errors(got, tensors["squared_norms"])
    for index in np.flatnonzero(~(norms <= FRAME_LIMIT)) if folder else []:
        write_frame(folder, index, frames[index], rows[index])
    logits = np.concatenate([row["logits"] for row in rows]) - tensors["logits"]
    scale = np.abs(tensors["logits"]).max(axis=1)
    logits = np.abs(logits).max(axis=1) / scale
    good = int((norms <= FRAME_LIMIT).sum())
    others = {int(i): float(f"{norms[i]:.2g}") for i in np.flatnonzero(~(norms <= FRAME_LIMIT))}
    print(
        f"{path}: {len(norms)} frames, {tensors['squared_norms'].shape[1]} norms\n"
        f"  norms: median over frames of the worst relative error {np.median(norms):.2e},"
        f" {good} frames <= {FRAME_LIMIT:g}, others {others}\n"
        f"  logits: worst error relative to the frame's largest {logits.max():.2e}\n"
        f"  one thread: {1e3 * min(seconds):.2f} ms per frame at best"
    )
    if not np.median(norms) <= MEDIAN_LIMIT:
        sys.exit(f"{path}: the median exceeds {MEDIAN_LIMIT:g}")
    if not good >= len(norms) * (1 - KINKED_FRAMES):
        sys.exit(f"{path}: only {good} of {len(norms)} frames within {FRAME_LIMIT:g}")
    if not logits.max() <= MEDIAN_LIMIT:
        sys.exit(f"{path}: the logits differ by more than {MEDIAN_LIMIT:g}")


def check_family(path, reference):
    """Columns are found by the parameters' names; nothing is judged here."""
    from safetensors import safe_open

    with safe_open(reference, "np") as file:
        names = file.metadata()["parameters"].split(",")
        frames = file.get_tensor("images")
        exact = file.get_tensor("squared_norms"), file.get_tensor("logits")
        single = file.get_tensor("squared_norms_f32"), file.get_tensor("logits_f32")
    print_errors("torch", family_errors(exact, single))
    runner = session(path)
    columns = runner.get_modelmeta().custom_metadata_map["gradgate.parameters"].split(",")
    exact = exact[0][:, [names.index(name) for name in columns]], exact[1]
    image = runner.get_inputs()[0].name
    rows = []
    for frame in frames:
        pixels = frame[None].astype("f4") / np.float32(255)
        rows.append(runner.run(["squared_norms", "logits"], {image: pixels}))
    got = [np.concatenate(part).astype("f8") for part in zip(*rows)]
    print_errors("ort", family_errors(exact, got))


def family_errors(expected, got):
    """Worst error per frame of squared norms and logits, given as pairs of these."""
    floor = FLOOR * expected[0].max(axis=1, keepdims=True)
    norms = np.abs(got[0] - expected[0]) / np.maximum(np.abs(expected[0]), floor)
    logits = np.abs(got[1] - expected[1]) / np.abs(expected[1]).max(axis=1, keepdims=True)
    return np.maximum(norms.max(axis=1), logits.max(axis=1))


def print_errors(name, errors):
    print(f"{name}_median={np.median(errors):.3e}\n{name}_worst={errors.max():.3e}")
    print(f"{name}_within={int((errors <= FRAME_LIMIT).sum())}")


def main(arguments):
    match arguments:
        case ["cases", folder]:
            check_cases(folder)
        case ["model", path, reference, *folder] if len(folder) <= 1:
            check_model(path, reference, *folder)
        case ["family", path, reference]:
            check_family(path, reference)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
