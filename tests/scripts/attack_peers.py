#!/usr/bin/env python3
"""`gradgate attack` beside torchattacks, foolbox, ART and cleverhans, on the same weights.

usage: attack_peers.py golden FOLDER
       attack_peers.py compare GRADGATE MODEL.onnx RECORDS.bin FOLDER [--images N] [--least N]
                       [--searches N] [--steps N]

golden    writes FOLDER/attacks.onnx, a network of a few KB with random weights, and
          FOLDER/attacks.safetensors, images and what the peers make of them: the tests read both.
compare   the long form, `cargo xtask attack-peers`: resnet20 on the first images of a file of
          CIFAR-10 records. FOLDER holds what is passed to the command and what it wrote. --images
          are attacked by signs, --least of them by C&W. Prints a table, exits 1 at a miss.

Peers get a model whose logits are float64: in float32 the cross-entropy of an image of which the
network is sure (p > 1 - 6e-8) has a gradient of rounding only; ours is computed in f64. A second
row says how often they agree in float32.

Needs torch, torchattacks, foolbox, adversarial-robustness-toolbox, cleverhans (the last four with
--no-deps, beside eagerpy, tqdm, requests, six, gitpython), onnx, safetensors.
"""

import argparse
import colorsys
import contextlib
import json
import logging
import pathlib
import subprocess
import sys
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

EPS, ALPHA, STEPS = 8 / 255, 2 / 255, 10
# Elements that count as equal; a sign that differs moves one by 2 alpha = 0.016.
EQUAL = 1e-6


class Wide(nn.Module):
    """The model with logits in float64, so that losses are."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        # torchattacks gives a module back in the mode that it had: left in that of training, this
        # one would normalise by batches from the second attack on.
        self.eval()

    def forward(self, x):
        return self.model(x).double()


class Tiny(nn.Module):
    """4 classes from 3 x 6 x 6."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, 1, 1)
        self.conv2 = nn.Conv2d(6, 8, 3, 2, 1)
        self.head = nn.Linear(72, 4)

    def forward(self, x):
        return self.head(F.relu(self.conv2(F.relu(self.conv1(x)))).flatten(1))


def gradient(model, images, labels):
    """Of the summed cross-entropy."""
    images = images.clone().requires_grad_()
    F.cross_entropy(model(images), labels, reduction="sum").backward()
    return images.grad


def predict(model, images):
    with torch.no_grad():
        return model(images).argmax(1)


def least_likely(model, images):
    with torch.no_grad():
        return model(images).argmin(1)


def walk(model, images, labels, start, towards=False, steps=STEPS):
    """Every iterate of steps along the sign within the ball, by the definition."""
    iterates = [start]
    for _ in range(steps):
        sign = gradient(model, iterates[-1], labels).sign()
        moved = iterates[-1] + (-ALPHA if towards else ALPHA) * sign
        iterates.append((images + (moved - images).clamp(-EPS, EPS)).clamp(0, 1))
    return iterates


# --- the peers ----------------------------------------------------------------------------------


def foolbox_model(model):
    import foolbox

    return foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")


def art_model(model, shape, classes):
    from art.estimators.classification import PyTorchClassifier

    loss = nn.CrossEntropyLoss()
    return PyTorchClassifier(model, loss, shape, classes, clip_values=(0, 1), device_type="cpu")


@contextlib.contextmanager
def noise_is(noise):
    """What torch's uniform_ draws."""
    drawn = torch.Tensor.uniform_
    torch.Tensor.uniform_ = lambda self, *_: self.copy_(noise)
    try:
        yield
    finally:
        torch.Tensor.uniform_ = drawn


def peers_fgsm(model, images, labels, classes):
    import foolbox.attacks as fa
    import torchattacks
    from art.attacks.evasion import FastGradientMethod

    shape = tuple(images.shape[1:])
    art = FastGradientMethod(art_model(model, shape, classes), eps=EPS, batch_size=64)
    foolbox = fa.LinfFastGradientAttack()
    return {
        "torchattacks": torchattacks.FGSM(model, EPS)(images, labels),
        "foolbox": foolbox(foolbox_model(model), images, labels, epsilons=EPS)[1],
        "ART": torch.tensor(art.generate(images.numpy(), labels.numpy())),
    }


def peers_bim(model, images, labels, classes):
    import foolbox.attacks as fa
    import torchattacks
    from art.attacks.evasion import BasicIterativeMethod

    shape = tuple(images.shape[1:])
    art = BasicIterativeMethod(
        art_model(model, shape, classes), EPS, ALPHA, STEPS, batch_size=64, verbose=False)
    foolbox = fa.LinfBasicIterativeAttack(abs_stepsize=ALPHA, steps=STEPS, random_start=False)
    return {
        "torchattacks": torchattacks.BIM(model, EPS, ALPHA, STEPS)(images, labels),
        "foolbox": foolbox(foolbox_model(model), images, labels, epsilons=EPS)[1],
        "ART": torch.tensor(art.generate(images.numpy(), labels.numpy())),
    }


def peers_pgd(model, images, labels, noise):
    import foolbox.attacks as fa
    import torchattacks

    foolbox = fa.LinfProjectedGradientDescentAttack(abs_stepsize=ALPHA, steps=STEPS)
    start = (images + noise).clamp(0, 1)
    foolbox.get_random_start = lambda x, eps: type(x)(start)
    with noise_is(noise):
        ours = torchattacks.PGD(model, EPS, ALPHA, STEPS)(images, labels)
    return {
        "torchattacks": ours,
        "foolbox": foolbox(foolbox_model(model), images, labels, epsilons=EPS)[1],
    }


def peers_iterll(model, images, labels, targets, steps=STEPS):
    """Towards the plain least likely class, which torchattacks takes but where it is the label."""
    import foolbox
    import foolbox.attacks as fa
    import torchattacks

    bim = torchattacks.BIM(model, EPS, ALPHA, steps)
    bim.set_mode_targeted_by_label(quiet=True)
    attack = fa.LinfBasicIterativeAttack(abs_stepsize=ALPHA, steps=steps, random_start=False)
    towards = foolbox.criteria.TargetedMisclassification(targets)
    return {
        "torchattacks": bim(images, targets),
        "foolbox": attack(foolbox_model(model), images, towards, epsilons=EPS)[1],
    }


def peers_least(model, images, labels, classes, searches, steps, first_c):
    import foolbox.attacks as fa
    from cleverhans.torch.attacks.carlini_wagner_l2 import carlini_wagner_l2

    # cleverhans ends no round early, so nobody does here.
    foolbox = fa.L2CarliniWagnerAttack(searches, steps, 1e-2, 0, first_c, abort_early=False)
    # One image at a time: in a batch it multiplies its constants, a column, with the losses, a row,
    # so that every image is weighed by the sum of all constants: twenty times the first c that it
    # was given, for twenty images.
    cleverhans = [
        carlini_wagner_l2(
            model, images[n : n + 1], classes, y=labels[n : n + 1], lr=1e-2,
            initial_const=first_c, binary_search_steps=searches, max_iterations=steps)
        for n in range(len(images))
    ]
    return {
        "foolbox": foolbox(foolbox_model(model), images, labels, epsilons=None)[1],
        "cleverhans": torch.cat(cleverhans).detach(),
    }


# --- our random numbers ---------------------------------------------------------------------------

MASK = (1 << 64) - 1


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def uniform(seed, purpose, index, count):
    """The first numbers in 0..1 of a stream of gradgate-lab's random.rs."""
    name = 0xCBF29CE484222325
    for byte in purpose.encode():
        name = ((name ^ byte) * 0x100000001B3) & MASK
    state = mix(mix(name ^ mix(seed)) ^ index)
    numbers = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        numbers.append((mix(state) >> 11) / (1 << 53))
    return np.array(numbers)


def start_noise(shape, seed):
    samples = int(np.prod(shape[1:]))
    rows = np.stack([uniform(seed, "start", index, samples) for index in range(shape[0])])
    return torch.tensor((-EPS + 2 * EPS * rows).reshape(shape).astype(np.float32))


def hsv(image, hue, saturation):
    """By Python's colorsys, pixel by pixel."""
    planes = image.reshape(3, -1).T.astype(np.float64)
    out = []
    for pixel in planes:
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        out.append(colorsys.hsv_to_rgb((h + hue) % 1.0, min(max(s + saturation, 0), 1), v))
    # safetensors writes memory as it lies, and a transposed array lies the other way round.
    return np.ascontiguousarray(np.array(out).T.reshape(image.shape), np.float32)


# --- goldens --------------------------------------------------------------------------------------


def golden(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    model = Tiny().eval()
    with torch.no_grad():
        model.head.weight.mul_(4)
    torch.onnx.export(
        model, (torch.zeros(1, 3, 6, 6),), folder / "attacks.onnx", input_names=["image"],
        output_names=["logits"], dynamo=False)
    images = torch.randint(0, 256, (4, 3, 6, 6)).float() / 255
    labels, targets = predict(model, images), least_likely(model, images)
    wide = Wide(model)
    noise = start_noise(images.shape, 0)
    first = images[0].numpy()
    arrays = {
        "images": images,
        "fgsm": peers_fgsm(wide, images, labels, 4)["torchattacks"],
        "bim": peers_bim(wide, images, labels, 4)["foolbox"],
        "pgd": peers_pgd(wide, images, labels, noise)["torchattacks"],
        "iterll": peers_iterll(wide, images, labels, targets)["torchattacks"],
        "hsv": torch.tensor(hsv(first, 0.3, -0.25)),
    }
    arrays = {name: array.detach().numpy().astype(np.float32) for name, array in arrays.items()}
    arrays["labels"] = labels.numpy()
    least = peers_least(wide, images, labels, 4, 9, 1000, 1e-3)
    for name, attacked in least.items():
        assert (predict(model, attacked) != labels).all(), name
        arrays[f"l2_{name}"] = norms(attacked - images).astype(np.float32)
    save_file(arrays, folder / "attacks.safetensors")
    print({name: array.shape for name, array in arrays.items()})


def norms(differences):
    return differences.flatten(1).double().norm(dim=1).numpy()


# --- the long form --------------------------------------------------------------------------------


class Command:
    """`gradgate attack` on a model."""

    def __init__(self, program, model, folder):
        self.program, self.model, self.folder = program, model, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def run(self, images, labels, *options):
        """Attacked images and the file's other columns."""
        frames, output = self.folder / "frames.safetensors", self.folder / "attacked.safetensors"
        save_file({"images": images.numpy(), "labels": labels.numpy()}, frames)
        pathlib.Path(f"{output}.checkpoint").unlink(missing_ok=True)
        command = [self.program, "attack", self.model, frames, "-o", output, *map(str, options)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{command}: {done.stderr}")
        print("   ", done.stdout.splitlines()[0])
        columns = load_file(output)
        return torch.tensor(columns["images"]), columns


class Table:
    def __init__(self):
        self.missed, self.rows = False, []

    def add(self, what, peer, figures, holds=True):
        self.missed |= not holds
        self.rows.append({"what": what, "peer": peer, **figures, "holds": bool(holds)})
        text = "  ".join(f"{name} {value}" for name, value in figures.items())
        print(f"{'ok  ' if holds else 'MISS'} {what:<22} {peer:<14} {text}", flush=True)


def share(part):
    return f"{100 * float(np.mean(part)):.3f} %"


def equal_images(a, b):
    return ((a - b).abs() <= EQUAL).flatten(1).all(1).numpy()


def compare_signs(table, command, model, images, labels):
    wide = Wide(model)
    attack_all = ["--clean-wrong", "attack", "--eps", EPS]
    walk_on = [*attack_all, "--alpha", ALPHA, "--steps", STEPS]
    targets, noise = least_likely(model, images), start_noise(images.shape, 0)
    ours, _ = command.run(images, labels, "--method", "fgsm", *attack_all)
    slope = gradient(wide, images, labels).abs().flatten(1)
    clear = (slope >= 1e-5 * slope.max(1, keepdim=True).values).numpy()
    for peer, theirs in peers_fgsm(wide, images, labels, 10).items():
        same = ((ours - theirs).abs() <= EQUAL).flatten(1).numpy()
        table.add("FGSM", peer, {"equal": share(same[clear])}, same[clear].mean() >= 0.999)
    same = (ours - peers_fgsm(model, images, labels, 10)["torchattacks"]).abs() <= EQUAL
    table.add("FGSM, float32 loss", "torchattacks", {"equal": share(same.numpy())})
    teacher(table, command, wide, images, labels)
    # Once the target leads by 37 logits its softmax is 1 in float64, and the peers' slope loses the
    # target's part; ours is the sum of the others' and goes on. On resnet20 ten steps lead so far.
    walk_few = [*attack_all, "--alpha", ALPHA, "--steps", 4]
    peers_few = peers_iterll(wide, images, labels, targets, 4)
    whole = [
        ("BIM", ["--method", "bim", *walk_on], peers_bim(wide, images, labels, 10)),
        ("PGD", ["--method", "pgd", *walk_on], peers_pgd(wide, images, labels, noise)),
        ("IterLL, 4 steps", ["--method", "iterll", *walk_few], peers_few),
    ]
    for name, options, peers in whole:
        ours, _ = command.run(images, labels, *options)
        for peer, theirs in peers.items():
            compare_whole(table, name, peer, model, images, labels, ours, theirs)


def teacher(table, command, wide, images, labels):
    """One step of ours from every iterate of the definition's."""
    iterates = walk(wide, images, labels, images)
    for at in [0, 1, 4, STEPS - 1]:
        options = ["--method", "bim", "--ball", "none", "--steps", 1, "--alpha", ALPHA]
        moved, _ = command.run(iterates[at], labels, *options, "--clean-wrong", "attack")
        ours = (images + (moved - images).clamp(-EPS, EPS)).clamp(0, 1)
        same = ((ours - iterates[at + 1]).abs() <= EQUAL).numpy()
        figures = {"equal": share(same)}
        table.add(f"step {at + 1} alone", "definition", figures, same.mean() >= 0.999)


def compare_whole(table, name, peer, model, images, labels, ours, theirs):
    right = predict(model, images) == labels
    lost = [
        (predict(model, one)[right] != labels[right]).float().mean().item()
        for one in (ours, theirs)
    ]
    with torch.no_grad():
        loss = [F.cross_entropy(model(one).double(), labels).item() for one in (ours, theirs)]
    same = equal_images(ours, theirs)
    radius = (ours - images).abs().max().item()
    figures = {
        "images equal": share(same),
        "elements": share(((ours - theirs).abs() <= EQUAL).numpy()),
        "success": f"{share(lost[0])} / {share(lost[1])}",
        "loss": f"{loss[0]:.4f} / {loss[1]:.4f}",
    }
    holds = same.mean() >= 0.8 and abs(lost[0] - lost[1]) <= 0.01
    holds &= abs(loss[0] / loss[1] - 1) <= 0.02 and radius <= EPS + 1e-6
    table.add(name, peer, figures, holds)


def compare_least(table, command, model, images, labels, searches, steps):
    first_c = 1e-2
    right = predict(model, images) == labels
    images, labels = images[right], labels[right]
    options = ["--searches", searches, "--steps", steps, "--initial-c", first_c, "--no-abort"]
    ours, columns = command.run(images, labels, "--method", "cw", *options)
    found = columns["status"] == 1
    least = norms(ours - images)
    peers = peers_least(Wide(model), images, labels, 10, searches, steps, first_c)
    best = np.inf
    for peer, theirs in peers.items():
        success = (predict(model, theirs) != labels).numpy()
        # foolbox gives black images where it found none.
        success &= theirs.flatten(1).abs().sum(1).numpy() > 0
        both, distance = success & found, norms(theirs - images)
        best = min(best, distance[success].mean())
        ratio = least[both] / distance[both]
        figures = {
            "success": f"{share(found)} / {share(success)}",
            "mean L2": f"{least[found].mean():.4f} / {distance[success].mean():.4f}",
            "median ratio": f"{np.median(ratio):.4f}",
            "images": len(found),
        }
        table.add(f"C&W {searches} x {steps}", peer, figures, found.mean() >= success.mean())
    mean = least[found].mean()
    table.add("C&W", "the best", {"L2 ratio": f"{mean / best:.4f}"}, mean <= 1.03 * best)


def compare(arguments):
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    import peer_networks

    model = peer_networks.load("resnet20", arguments.model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    records = np.fromfile(arguments.records, np.uint8).reshape(-1, 3073)[: arguments.images]
    images = torch.tensor(records[:, 1:].reshape(-1, 3, 32, 32)).float() / 255
    labels = torch.tensor(records[:, 0].astype(np.int64))
    command, table = Command(arguments.gradgate, arguments.model, arguments.folder), Table()
    compare_signs(table, command, model, images, labels)
    negative, _ = command.run(images, labels, "--method", "semantic", "--clean-wrong", "attack")
    table.add("semantic", "1 - x", {"equal": share((negative == 1 - images).numpy())},
              bool((negative == 1 - images).all()))
    few = slice(0, arguments.least)
    compare_least(
        table, command, model, images[few], labels[few], arguments.searches, arguments.steps)
    (command.folder / "attack-peers.json").write_text(json.dumps(table.rows, indent=1) + "\n")
    sys.exit(1 if table.missed else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_subparsers(required=True)
    mode = modes.add_parser("golden")
    mode.add_argument("folder")
    mode.set_defaults(run=lambda arguments: golden(arguments.folder))
    mode = modes.add_parser("compare")
    for name in ("gradgate", "model", "records", "folder"):
        mode.add_argument(name)
    for name, default in (("images", 100), ("least", 50), ("searches", 5), ("steps", 200)):
        mode.add_argument(f"--{name}", type=int, default=default)
    mode.set_defaults(run=compare)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
