#!/usr/bin/env python3
"""Networks of many families with random weights, exported by both PyTorch exporters, and PyTorch's
own float64 features: what `cargo xtask families` sweeps.

usage: families.py FOLDER [NETWORK ..]      the networks that are not there yet, into a folder that
                                            is not committed
       families.py --goldens FOLDER         the smallest of each family, into tests/golden/families

Writes NETWORK.torchscript.onnx and NETWORK.dynamo.onnx, BatchNorm kept, by the recipes of
README.md, and NETWORK.reference.safetensors: images (u8), logits and squared_norms (f64) of one
backward pass a frame from the all-ones label, names of the parameters in the metadata. Of whole
networks also logits_f32 and squared_norms_f32 (f64): what PyTorch itself computes in f32.

Weights are random with a fixed seed. Statistics of BatchNorm are those of random images, then
disturbed, so that no scale is 1 and no shift 0; every other vector is disturbed too, as equal
initial values would be merged into one tensor.

Needs torch, torchvision, onnx, onnxscript, numpy, safetensors.
"""

import copy
import pathlib
import sys
import warnings

import families_small
import numpy as np
import onnx
import torch
import torch.nn.functional as F
import torchvision.models as tv
from safetensors.numpy import save_file
from torch import nn

SEED = 40
CLASSES = 10
REFERENCE = ".reference.safetensors"


def vit_tiny():
    """12 layers of 192 channels and 3 heads; patches of 4 x 4 pixels."""
    model = tv.VisionTransformer(32, 4, 12, 3, 192, 768, num_classes=CLASSES)
    nn.init.normal_(model.heads.head.weight, 0, 0.05)  # zero at first: no gradient would pass
    return model


def of(name, **options):
    """A constructor of torchvision's network."""
    return lambda: getattr(tv, name)(weights=None, num_classes=CLASSES, **options)


# Constructor, side of the square image, frames: the smallest image that the architecture takes with
# more than one pixel left at its end, where that is sensible.
NETWORKS = {
    "resnet18": (of("resnet18"), 64, 32),
    "resnet50": (of("resnet50"), 64, 32),
    "densenet121": (of("densenet121"), 64, 32),
    "mobilenet_v2": (of("mobilenet_v2"), 64, 32),
    "mobilenet_v3_small": (of("mobilenet_v3_small"), 64, 32),
    "mobilenet_v3_large": (of("mobilenet_v3_large"), 64, 32),
    "shufflenet_v2_x1_0": (of("shufflenet_v2_x1_0"), 64, 32),
    "squeezenet1_1": (of("squeezenet1_1"), 64, 32),
    "googlenet": (of("googlenet", aux_logits=False, init_weights=False), 64, 32),
    "inception_v3": (of("inception_v3", aux_logits=False, init_weights=False), 96, 32),
    "efficientnet_b0": (of("efficientnet_b0"), 64, 32),
    "regnet_x_400mf": (of("regnet_x_400mf"), 64, 32),
    "regnet_y_400mf": (of("regnet_y_400mf"), 64, 32),
    "mnasnet0_5": (of("mnasnet0_5"), 64, 32),
    "convnext_tiny": (of("convnext_tiny"), 64, 32),
    "vit_tiny": (vit_tiny, 32, 32),
}

EXPORTERS = {
    "torchscript": dict(dynamo=False, training=torch.onnx.TrainingMode.PRESERVE,
                        do_constant_folding=False),
    "dynamo": dict(dynamo=True, optimize=False, verbose=False),
}


def initialise(model, side):
    """Random statistics and vectors; activations keep their size through the layers."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, float(name.endswith("weight")), 0.2)
    for norm in model.modules():  # as ONNX stores it: 1e-5 in f32 differs by 2.5e-13
        if hasattr(norm, "eps"):
            norm.eps = float(np.float32(norm.eps))
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        norm.momentum = None  # averages over all images seen
    with torch.no_grad():
        model.train()(torch.rand(8, 3, side, side))
        for norm in norms:
            sigma = norm.running_var.sqrt()
            norm.running_mean.add_(0.1 * sigma * torch.randn_like(sigma))
            norm.running_var.mul_(torch.empty_like(sigma).uniform_(0.5, 2))
    return model.eval()


def as_stored(model):
    """HardSigmoid's sixth in f32, as the file has it; 1/6 would differ by 3e-8 of itself."""
    sixth = float(np.float32(1 / 6))
    for module in model.modules():
        if isinstance(module, nn.Hardsigmoid):
            module.forward = lambda x: torch.clamp(x * sixth + 0.5, 0, 1)


def attention(q, k, v, *_rest, **_options):
    """Scaled as the exporters write it: both operands by the root of the scale, in f32."""
    root = float(np.sqrt(np.float32(1 / np.sqrt(q.shape[-1]))))
    return torch.softmax((q * root) @ (k * root).transpose(-2, -1), -1) @ v


def features(model, images, dtype):
    """Logits and squared gradient norms of every parameter in this type, a frame at a time; the
    norms are summed in float64."""
    model = copy.deepcopy(model).to(dtype)
    as_stored(model)
    F.scaled_dot_product_attention, kept = attention, F.scaled_dot_product_attention
    logits, norms = [], []
    for image in images:
        model.zero_grad()
        z = model(torch.tensor(image[None]).to(dtype) / 255)
        F.binary_cross_entropy_with_logits(z, torch.ones_like(z)).backward()
        logits.append(z.detach()[0].double().numpy())
        norms.append([p.grad.double().square().sum().item() for p in model.parameters()])
    F.scaled_dot_product_attention = kept
    return np.array(logits), np.array(norms)


def export(model, side, path, options):
    """Writes one ONNX file of weights and nodes alone, without the exporter's remarks."""
    torch.onnx.export(model, (torch.zeros(1, 3, side, side),), path, input_names=["image"],
                      output_names=["logits"], **options)
    file = onnx.load(path)
    path.with_name(path.name + ".data").unlink(missing_ok=True)
    for part in [file.graph, *file.graph.node, *file.graph.value_info, *file.graph.initializer]:
        part.doc_string = ""
        del part.metadata_props[:]
    del file.metadata_props[:]
    del file.graph.value_info[:]
    onnx.save(file, path)


def write(folder, network, build, side, frames, types):
    """All files of one network, the reference last: where it lies, the others are whole. The first
    of the types has the plain names."""
    torch.manual_seed(SEED)
    model = initialise(build(), side)
    rng = np.random.default_rng(SEED)
    # Smooth pictures with noise, so that frames differ in more than noise.
    coarse = torch.tensor(rng.random((frames, 3, 4, 4)))
    smooth = F.interpolate(coarse, (side, side), mode="bilinear").numpy()
    noise = rng.random((frames, 3, side, side))
    images = np.round(255 * (0.8 * smooth + 0.2 * noise)).astype("u1")
    tensors = {"images": images}
    for dtype, suffix in zip(types, ["", "_f32"]):
        logits, norms = features(model, images, dtype)
        tensors |= {"logits" + suffix: logits, "squared_norms" + suffix: norms}
    for exporter, options in EXPORTERS.items():
        export(model, side, folder / f"{network}.{exporter}.onnx", options)
    names = ",".join(name for name, _ in model.named_parameters())
    part = folder / f"{network}.part"
    save_file(tensors, part, metadata={"parameters": names})
    part.replace(folder / f"{network}{REFERENCE}")


def main(arguments):
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    networks, types = NETWORKS, [torch.float64, torch.float32]
    if arguments[0] == "--goldens":
        networks, types, arguments = families_small.NETWORKS, types[:1], arguments[1:]
    folder = pathlib.Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for network in arguments[1:] or networks:
        if networks is NETWORKS and (folder / f"{network}{REFERENCE}").exists():
            continue
        write(folder, network, *networks[network], types)
        print(network, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
