#!/usr/bin/env python3
"""Exports torchvision networks with random weights by both PyTorch exporters, for the wide import
check (`IMPORT_WIDE=FOLDER cargo test -p gradgate-graph --test import_wide`).

    python tests/scripts/export_torchvision.py FOLDER

Beside every NAME.onnx stands NAME.expected.txt: image, logits, named parameters, and whether
BatchNorm is kept. Files are large and are not committed.
"""

import os
import sys
import warnings

import torch
import torchvision

PRESERVE = torch.onnx.TrainingMode.PRESERVE
NETWORKS = ["resnet18", "densenet121", "mobilenet_v2"]
SIZE = 64


def kinds():
    """Exporter options by name, and whether BatchNorm is kept."""
    batch = torch.export.Dim("batch")
    axes = {"image": {0: "batch"}, "logits": {0: "batch"}}
    kept = dict(dynamo=False, training=PRESERVE, do_constant_folding=False)
    return {
        "ts_kept": (kept, True),
        "ts_kept_batch": (dict(kept, dynamic_axes=axes), True),
        "ts_kept_opset9": (dict(kept, opset_version=9), True),
        "ts_folded": (dict(dynamo=False), False),
        "dynamo": (dict(dynamo=True), False),
        "dynamo_batch": (dict(dynamo=True, dynamic_shapes=({0: batch},)), False),
        "dynamo_kept": (dict(dynamo=True, optimize=False), True),
    }


def main():
    warnings.filterwarnings("ignore")
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for network in NETWORKS:
        torch.manual_seed(5)
        model = getattr(torchvision.models, network)(weights=None, num_classes=10).eval()
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:  # equal initial values would be merged behind Identity nodes
                parameter.data.add_(0.1 * torch.randn_like(parameter))
        image = torch.rand(2, 3, SIZE, SIZE)
        logits = model(image[:1]).detach()
        for kind, (options, kept) in kinds().items():
            example = image if "batch" in kind else image[:1]
            path = os.path.join(folder, f"{network}_{kind}.onnx")
            torch.onnx.export(model, (example,), path, input_names=["image"],
                              output_names=["logits"], **options)
            entries = {
                "image": image[0].ravel().tolist(), "logits": logits.ravel().tolist(),
                "parameters": [name for name, _ in model.named_parameters()], "kept": [int(kept)],
            }
            with open(path.removesuffix(".onnx") + ".expected.txt", "w") as file:
                for key, values in entries.items():
                    file.write(" ".join([key, *map(str, values)]) + "\n")


if __name__ == "__main__":
    main()
