#!/usr/bin/env python3
"""Writes host-tools/lab/tests/golden/adaptive.{onnx,safetensors}: slopes of detector scores.

    python tests/scripts/adaptive_goldens.py [write|check] [FOLDER]

A network of a few KB, three detectors over its features, and for some images each detector's score
and the score's gradient along the pixels, by PyTorch in float64: differentiation twice, nothing
approximated. `check` computes the gradients of the files' images again with the files' detectors
and compares. Needs numpy, torch, onnx, safetensors; another PyTorch draws other weights, which
changes numbers but no test.
"""

import os
import sys

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file
from torch import nn
from torch.nn import functional as F

MODE = sys.argv[1] if len(sys.argv) > 1 else "write"
FOLDER = sys.argv[2] if len(sys.argv) > 2 else os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "host-tools", "lab", "tests", "golden")
ONNX, FILE = (os.path.join(FOLDER, "adaptive." + kind) for kind in ("onnx", "safetensors"))
IMAGES, FITTED, SIDE, CLASSES, HIDDEN, PER_CLASS = 12, 60, 8, 4, 12, 2
SMALLEST = 1e-30

torch.manual_seed(11)
torch.set_num_threads(1)


class Network(nn.Module):
    """Convolutions with normalisation, one shortcut, one stride."""

    def __init__(self):
        super().__init__()
        sizes = [(3, 6, 1), (6, 6, 1), (6, 6, 1), (6, 8, 2)]
        for place, (inputs, outputs, stride) in enumerate(sizes, 1):
            setattr(self, f"conv{place}", nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))
            setattr(self, f"bn{place}", nn.BatchNorm2d(outputs))
        self.fc = nn.Linear(8, CLASSES)

    def values(self, x):
        """Layers, penultimate vector, logits."""
        first = F.relu(self.bn1(self.conv1(x)))
        second = F.relu(self.bn2(self.conv2(first)))
        third = F.relu(self.bn3(self.conv3(second)) + first)
        fourth = F.relu(self.bn4(self.conv4(third)))
        pooled = fourth.mean((2, 3))
        return [first, second, third, fourth], pooled, self.fc(pooled)

    def forward(self, x):
        return self.values(x)[2]


def network(images):
    """Random weights; the logits vary from image to image."""
    net = Network()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            n = module.num_features
            module.weight.data = 0.7 + torch.rand(n) * 0.8
            module.bias.data = torch.randn(n) * 0.2
            module.running_mean = torch.randn(n) * 0.2
            module.running_var = 0.5 + torch.rand(n)
    net.eval()
    with torch.no_grad():
        pooled = net.values(images)[1]
        net.fc.weight.data *= 2 / (pooled - pooled.mean(0)).matmul(net.fc.weight.T).std()
        net.fc.bias.data = -pooled.mean(0).matmul(net.fc.weight.T)
    return net


def export(net):
    torch.onnx.export(net, (torch.zeros(1, 3, SIDE, SIDE),), ONNX, input_names=["image"],
                      output_names=["logits"], dynamo=False, do_constant_folding=False,
                      training=torch.onnx.TrainingMode.PRESERVE)


def from_file():
    net = Network()
    file = onnx.load(ONNX)
    state = {t.name: torch.tensor(numpy_helper.to_array(t)) for t in file.graph.initializer}
    net.load_state_dict(state, strict=False)
    return net.eval()


def features(net, image):
    """Squared norms of the all-ones loss's gradients, of layers; logits; penultimate vector."""
    layers, pooled, logits = net.values(image[None])
    loss = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    gradients = torch.autograd.grad(loss, list(net.parameters()), create_graph=True)
    norms = torch.stack([(g * g).sum() for g in gradients])
    return norms, torch.stack([(x * x).sum() for x in layers]), logits[0], pooled[0]


def inputs(kinds, seen):
    norms, layers, logits, _ = seen
    parts = [norms.clamp(min=SMALLEST).log()]
    if kinds == "both":
        parts += [layers.clamp(min=SMALLEST).log(), logits.sort(descending=True).values,
                  logits.logsumexp(0)[None]]
    return torch.cat(parts)


def level(scores, levels, value):
    at = int((scores <= value).sum())
    if at == 0:
        return levels[0]
    if at == len(scores):
        return levels[-1]
    share = (value - scores[at - 1]) / (scores[at] - scores[at - 1])
    return levels[at - 1] + share * (levels[at] - levels[at - 1])


def score(name, arrays, seen):
    get = lambda key: torch.tensor(arrays[f"{name}.{key}"]).double()
    kinds = "norm" if name == "norms" else "both"
    x = (inputs(kinds, seen) - get("mean")) * get("inverse_std")
    _, _, logits, pooled = seen
    if name != "composite":
        return get("w2") @ F.relu(get("w1") @ x + get("b1")) + get("b2")[0]
    klass = int(logits.argmax())
    size = len(x)
    whitening = torch.zeros(size, size, dtype=torch.float64)
    whitening[tuple(torch.tril_indices(size, size))] = get("whitening")
    parts = {"gaussian": ((whitening @ (x - get("means")[klass])) ** 2).sum()}
    own = get("vectors")[klass] @ pooled / pooled.norm()
    parts["prototypes"] = 1 - own.max()
    median, below, above = get("energy")
    away = logits.logsumexp(0) - median
    parts["energy"] = -away * below if away <= 0 else away * above
    parts["confidence"] = logits.logsumexp(0) - logits.max()
    return sum(level(get(part + ".scores"), get(part + ".levels"), value)
               for part, value in parts.items())


def detectors(net, images):
    """Arrays of all detectors, drawn at random around the features of some images."""
    seen = [features(net, image) for image in images]
    arrays = {}
    for name, kinds in [("norms", "norm"), ("both", "both"), ("composite", "both")]:
        rows = torch.stack([inputs(kinds, one) for one in seen]).detach()
        size = rows.shape[1]
        arrays[f"{name}.mean"] = rows.mean(0)
        arrays[f"{name}.inverse_std"] = 1 / rows.std(0).clamp(min=1e-6)
        if name != "composite":
            arrays |= {f"{name}.w1": torch.randn(HIDDEN, size) / size ** 0.5,
                       f"{name}.b1": torch.randn(HIDDEN) * 0.3, f"{name}.w2": torch.randn(HIDDEN),
                       f"{name}.b2": torch.randn(1)}
            continue
        whitening = torch.eye(size) + 0.1 * torch.randn(size, size)
        arrays["composite.whitening"] = whitening[tuple(torch.tril_indices(size, size))]
        arrays["composite.means"] = 0.2 * torch.randn(CLASSES, size)
        arrays["composite.vectors"] = F.normalize(torch.rand(CLASSES, PER_CLASS, 8), dim=2)
        energies = torch.stack([one[2].logsumexp(0) for one in seen]).detach()
        arrays["composite.energy"] = torch.tensor([float(energies.median()), 1.5, 0.7])
        # Knots wider than any score, so that no image lies where a table is flat.
        for part, top in [("gaussian", 400.0), ("prototypes", 2.0), ("energy", 30.0),
                          ("confidence", 4.0)]:
            knots = torch.linspace(0, 1, 9) ** 2 * top
            arrays[f"composite.{part}.scores"] = knots - 1e-3
            arrays[f"composite.{part}.levels"] = torch.linspace(0, 1, 9) ** 0.7 * 6
    return {name: array.detach().float().numpy() for name, array in arrays.items()}


def slopes(net, arrays, images):
    found = {}
    for name in ("norms", "both", "composite"):
        scores, gradients = [], []
        for image in images:
            image = image.clone().requires_grad_(True)
            value = score(name, arrays, features(net, image))
            scores.append(value.item())
            gradients.append(torch.autograd.grad(value, image)[0].numpy())
        found[f"{name}.score"] = np.array(scores)
        found[f"{name}.slope"] = np.stack(gradients).astype(np.float32)
    return found


def main():
    if MODE == "write":
        smooth = F.interpolate(torch.rand(FITTED, 3, 4, 4), SIDE, mode="bilinear")
        pixels = (smooth + 0.1 * torch.randn(FITTED, 3, SIDE, SIDE)).clamp(0, 1)
        pixels = (pixels * 255).round().to(torch.uint8)
        net = network(pixels.float() / 255)
        export(net)
        net = net.double()
        images = pixels.double() / 255
        arrays = detectors(net, images)
        arrays |= slopes(net, arrays, images[:IMAGES])
        save_file({**arrays, "images": pixels[:IMAGES].numpy()}, FILE)
        return
    arrays = load_file(FILE)
    net = from_file().double()
    found = slopes(net, arrays, torch.tensor(arrays["images"]).double() / 255)
    for name, values in found.items():
        spread = np.abs(values).max()
        worst = np.abs(values - arrays[name]).max() / spread
        print(f"{name}: worst difference {worst:.1e} of the largest")
        if worst > 1e-6:
            sys.exit(f"{name} differs")


main()
