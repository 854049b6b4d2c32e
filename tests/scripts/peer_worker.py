#!/usr/bin/env python3
"""A peer of `cargo xtask bench-peers`: loads a network once, then times frames on demand.

usage: peer_worker.py onnxruntime|torch NETWORK MODEL.onnx FRAME.ppm

Prints one JSON object when it is warm: `version`, `logits` and, for torch, `norms` by parameter
name. Then each line of standard input is a number of frames; the answer is one JSON object with
`ms`, the time of each. Ends with its input. One thread, one frame a call.

onnxruntime runs the forward pass with all its graph optimisations, into memory bound beforehand.
torch runs eagerly forward, backward from the all-ones label, and the squared norm of the gradient
of every parameter. Needs numpy and either onnxruntime or torch, torchvision and onnx.
"""

import json
import re
import sys
import time

import numpy as np

# Running before the first request, in seconds.
WARM_UP = 0.2


def read_frame(path):
    """A binary PPM as [1, 3, height, width] in 0..1."""
    with open(path, "rb") as file:
        header, pixels = re.fullmatch(rb"(P6\n\d+ \d+\n255\n)(.*)", file.read(), re.S).groups()
    width, height = map(int, header.split()[1:3])
    pixels = np.frombuffer(pixels, np.uint8).reshape(1, height, width, 3)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))


def onnxruntime_peer(_network, model, image):
    """A function that runs one frame, and what it gives."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input(session.get_inputs()[0].name, image)
    binding.bind_output(session.get_outputs()[0].name)
    run = lambda: session.run_with_iobinding(binding)
    run()
    logits = binding.copy_outputs_to_cpu()[0].ravel().tolist()
    return run, {"version": f"onnxruntime {ort.__version__}", "logits": logits}


def torch_peer(network, model, image):
    """A function that runs one frame, and what it gives."""
    import torch
    import torch.nn.functional as F

    import peer_networks

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    module = peer_networks.load(network, model)
    names = [name for name, _ in module.named_parameters()]
    parameters = list(module.parameters())
    image = torch.from_numpy(image)

    def run():
        logits = module(image)
        loss = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        gradients = torch.autograd.grad(loss, parameters)
        return logits, torch.stack(torch._foreach_norm(gradients)).square()

    logits, norms = run()
    return run, {
        "version": f"torch {torch.__version__}",
        "logits": logits.flatten().tolist(),
        "norms": dict(zip(names, norms.tolist())),
    }


def timed(run):
    """Milliseconds of one call."""
    begin = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - begin)


def main():
    peer, network, model, frame = sys.argv[1:]
    make = {"onnxruntime": onnxruntime_peer, "torch": torch_peer}[peer]
    run, greeting = make(network, model, read_frame(frame))
    begin = time.perf_counter()
    while time.perf_counter() - begin < WARM_UP:
        run()
    print(json.dumps(greeting), flush=True)
    for line in sys.stdin:
        run()  # the caches still hold another peer's data
        print(json.dumps({"ms": [timed(run) for _ in range(int(line))]}), flush=True)


if __name__ == "__main__":
    main()
