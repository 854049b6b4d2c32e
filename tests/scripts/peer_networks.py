#!/usr/bin/env python3
"""The networks of `cargo xtask bench-peers` as PyTorch modules, and their export to ONNX.

usage: peer_networks.py FOLDER [NETWORK ..]

Writes FOLDER/NETWORK.onnx for every network of EXPORTED (or those named), BatchNorm kept, by the
recipe of README.md. Weights are random with a fixed seed; BatchNorm statistics are those of random
images, then disturbed, so that no scale is 1 and no shift 0. Files are large, never committed.

`load(NETWORK, FILE)` gives the module with the weights that stand in an ONNX file, for these and
for the two pretrained networks, whose initializers carry the module's parameter names.

Needs torch, torchvision, onnx.
"""

import pathlib
import sys
import warnings
from collections import OrderedDict

import onnx
import torch
import torch.nn.functional as F
import torchvision
from onnx import numpy_helper
from torch import nn

SEED = 20


class Block20(nn.Module):
    """Two 3 x 3 convolutions; the shortcut takes every second pixel and pads with zero channels."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.quarter = outputs // 4 if stride == 2 else 0

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.quarter:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.quarter, self.quarter))
        return F.relu(x + y)


class ResNet20(nn.Module):
    """For CIFAR-10, with its input normalisation (`m`, `sd`)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("m", torch.zeros(1, 3, 1, 1))
        self.register_buffer("sd", torch.ones(1, 3, 1, 1))
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*[Block20(16, 16, 1) for _ in range(3)])
        self.layer2 = nn.Sequential(Block20(16, 32, 2), Block20(32, 32, 1), Block20(32, 32, 1))
        self.layer3 = nn.Sequential(Block20(32, 64, 2), Block20(64, 64, 1), Block20(64, 64, 1))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1((x - self.m) / self.sd)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class ResNet8(nn.Module):
    """MLPerf Tiny's, as Keras names and pads it: at stride 2 below and on the right only."""

    CHANNELS = [(3, 16, 3, 1), (16, 16, 3, 1), (16, 16, 3, 1), (16, 32, 3, 2), (32, 32, 3, 1),
                (16, 32, 1, 2), (32, 64, 3, 2), (64, 64, 3, 1), (32, 64, 1, 2)]
    NORMS = [16, 16, 16, 32, 32, 64, 64]

    def __init__(self):
        super().__init__()
        self.register_buffer("pixel_max", torch.full((1,), 255.0))
        for i, (inputs, outputs, kernel, stride) in enumerate(self.CHANNELS):
            pad = 1 if kernel == 3 and stride == 1 else 0
            conv = nn.Conv2d(inputs, outputs, kernel, stride, pad)
            self.add_module("conv2d" + (f"_{i}" if i else ""), conv)
        for i, channels in enumerate(self.NORMS):
            name = "batch_normalization" + (f"_{i}" if i else "")
            self.add_module(name, nn.BatchNorm2d(channels, eps=1e-3))
        self.dense = nn.Linear(64, 10)

    def forward(self, x):
        part = self.get_submodule
        x = F.relu(self.batch_normalization(self.conv2d(x * self.pixel_max)))
        y = F.relu(self.batch_normalization_1(self.conv2d_1(x)))
        x = F.relu(x + self.batch_normalization_2(self.conv2d_2(y)))
        for conv, norm in ((3, 3), (6, 5)):
            y = part(f"conv2d_{conv}")(F.pad(x, (0, 1, 0, 1)))
            y = F.relu(part(f"batch_normalization_{norm}")(y))
            y = part(f"batch_normalization_{norm + 1}")(part(f"conv2d_{conv + 1}")(y))
            x = F.relu(part(f"conv2d_{conv + 2}")(x) + y)
        return self.dense(F.avg_pool2d(x, 8).flatten(1))


def resnet18():
    """With the stem for 32 x 32 images: 3 x 3 at stride 1 and no pooling."""
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    model.maxpool = nn.Identity()
    return model


def densenet():
    """DenseNet-BC-100-12 for 32 x 32 images: three blocks of 16 bottlenecks, growth 12."""
    model = torchvision.models.DenseNet(12, (16, 16, 16), num_init_features=24, num_classes=10)
    layers = OrderedDict(model.features.named_children())
    for name in ("norm0", "relu0", "pool0"):
        del layers[name]
    layers["conv0"] = nn.Conv2d(3, 24, 3, 1, 1, bias=False)
    model.features = nn.Sequential(layers)
    return model


# Constructor and side of the square image.
PRETRAINED = {"resnet8": (ResNet8, 32), "resnet20": (ResNet20, 32)}
EXPORTED = {
    "resnet18": (resnet18, 32),
    "densenet-bc-100-12": (densenet, 32),
    "mobilenetv2-96": (torchvision.models.mobilenet_v2, 96),
    "mobilenetv2-224": (torchvision.models.mobilenet_v2, 224),
}


def initialise(model, side):
    """Random weights; statistics from random images, so that activations keep their size."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.2)
        norm.momentum = None  # averages over all images seen
    with torch.no_grad():
        model.train()(torch.rand(8, 3, side, side))
        for norm in norms:
            sigma = norm.running_var.sqrt()
            norm.running_mean.add_(0.1 * sigma * torch.randn_like(sigma))
            norm.running_var.mul_(torch.empty_like(sigma).uniform_(0.5, 2))
    return model.eval()


def load(network, path):
    """The module, in inference mode, with the weights of an ONNX file."""
    model = (PRETRAINED | EXPORTED)[network][0]().eval()
    tensors = {t.name: t for t in onnx.load(path).graph.initializer}
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                value.copy_(torch.tensor(numpy_helper.to_array(tensors[name])))
    return model


def main():
    warnings.filterwarnings("ignore")
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for network in sys.argv[2:] or EXPORTED:
        build, side = EXPORTED[network]
        torch.manual_seed(SEED)
        model = initialise(build(), side)
        torch.onnx.export(
            model, (torch.zeros(1, 3, side, side),), folder / f"{network}.onnx",
            input_names=["image"], output_names=["logits"],
            dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
        )


if __name__ == "__main__":
    main()
