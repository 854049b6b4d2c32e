"""Features of ResNet-20 by PyTorch autograd, in the format of `gradgate features`.

usage: torch_features.py RESNET20.onnx RECORDS.bin OUT.safetensors [--limit N] [--first-source N]

RECORDS.bin holds CIFAR-10 binary records. One backward pass per image (torch.func.vmap over grad),
float32, BatchNorm in inference mode, mean over classes of BCE-with-logits against all ones.
Needs torch, onnx, numpy, safetensors.
"""

import argparse

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from safetensors.numpy import save_file


def load(path):
    model = onnx.load(path)
    return {t.name: torch.tensor(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}


def forward(constants, parameters, x):
    """Logits, penultimate vector and layer outputs of one image [1, 3, 32, 32] in 0..1."""

    def conv_norm(x, name, norm, stride=1):
        y = F.conv2d(x, parameters[name + ".weight"], stride=stride, padding=1)
        mean, var = constants[norm + ".running_mean"], constants[norm + ".running_var"]
        scale, shift = parameters[norm + ".weight"], parameters[norm + ".bias"]
        return F.batch_norm(y, mean, var, scale, shift, False, 0.0, 1e-5)

    x = (x - constants["m"]) / constants["sd"]
    x = F.relu(conv_norm(x, "conv1", "bn1"))
    layers = [x]
    for stage in (1, 2, 3):
        for block in range(3):
            name = f"layer{stage}.{block}."
            stride = 2 if stage > 1 and block == 0 else 1
            y = F.relu(conv_norm(x, name + "conv1", name + "bn1", stride))
            layers.append(y)
            y = conv_norm(y, name + "conv2", name + "bn2")
            if stride == 2:  # option A: every second pixel, zero channels on both sides
                quarter = y.shape[1] // 4
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, quarter, quarter))
            x = F.relu(y + x)
            layers.append(x)
    vector = x.mean((2, 3))
    logits = F.linear(vector, parameters["linear.weight"], parameters["linear.bias"])
    return logits, vector, layers


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("records")
    parser.add_argument("out")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--first-source", type=int, default=0)
    args = parser.parse_args()
    constants = load(args.model)
    names = [n for n in constants if n.endswith((".weight", ".bias"))]
    parameters = {n: constants[n] for n in names}

    def loss(parameters, x):
        logits, vector, layers = forward(constants, parameters, x[None])
        value = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        return value, (logits[0], vector[0], torch.stack([y.square().sum() for y in layers]))

    per_image = torch.func.vmap(torch.func.grad(loss, has_aux=True), in_dims=(None, 0))
    raw = np.fromfile(args.records, dtype=np.uint8).reshape(-1, 3073)[: args.limit]
    images = torch.tensor(raw[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255)
    columns = {"logits": [], "squared_norms": [], "activation_norms": [], "penultimate": []}
    with torch.no_grad():
        for batch in images.split(16):
            gradients, (logits, vector, activations) = per_image(parameters, batch)
            norms = [gradients[n].double().flatten(1).square().sum(1) for n in names]
            columns["logits"].append(logits)
            columns["squared_norms"].append(torch.stack(norms, 1))
            columns["activation_norms"].append(activations.double())
            columns["penultimate"].append(vector)
    tensors = {name: torch.cat(parts).numpy() for name, parts in columns.items()}
    tensors["labels"] = raw[:, 0].astype(np.int64)
    tensors["source"] = np.arange(len(raw), dtype=np.int64) + args.first_source
    tensors["alignments"] = np.zeros((len(raw), 0), dtype=np.float32)
    layers = tensors["activation_norms"].shape[1]
    metadata = {
        "schema": "1",
        "parameters": ",".join(names),
        "layers": ",".join(f"layer{i}" for i in range(layers)),
        "alignments": "",
        "preprocessing": "range=0,1 order=rgb",
        "label": "ones",
        "executor": "torch",
        "numerics": "fast",
        "model_digest": "",
        "schema_digest": "",
        "references_digest": "",
        "frames": args.records,
    }
    save_file(tensors, args.out, metadata=metadata)


if __name__ == "__main__":
    main()
