#!/usr/bin/env python3
"""Writes host-tools/lab/tests/golden/baseline.safetensors: detectors of others by the book.

    python tests/scripts/baseline_goldens.py [write|check] [FILE]

`check` computes all numbers from the network and the images of the file again.

Every formula is stated here once more, in float64, with numpy, scipy, scikit-learn and PyTorch's
differentiation, on a small network trained on scikit-learn's digits; the anomalous images are
attacked ones, rounded to bytes. Where pytorch-ood (0.4 or later) has the detector, its scores must
agree. Needs numpy, scipy, scikit-learn, torch, safetensors; pytorch-ood is optional. Seeds are
fixed; another PyTorch trains other weights, which changes numbers but no test.
"""

import os
import sys

import numpy as np
import scipy.linalg
import torch
from safetensors.numpy import load_file, save_file
from scipy.spatial.distance import cdist
from sklearn.covariance import EmpiricalCovariance
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegressionCV
from torch import nn
from torch.nn import functional as F

MODE = sys.argv[1] if len(sys.argv) > 1 else "write"
FILE = sys.argv[2] if len(sys.argv) > 2 else os.path.join(
    os.path.dirname(os.path.abspath(__file__)),
    "..", "..", "host-tools", "lab", "tests", "golden", "baseline.safetensors")
# Images of each set; queries and contrasts have as many anomalous as normal ones.
REFERENCE, CONTRAST, QUERIES = 200, 40, 20
CLASSES = 10
KNN_K, VIM_DIMENSION = 5, 6
TEMPERATURES = [1.0, 10.0, 100.0, 1000.0]
ODIN_STEPS = [0.0, 0.0014, 0.01, 0.05]
STEPS = [0.0, 0.01, 0.005, 0.002]
LID_BATCH, LID_K, LID_REFERENCES = 16, 6, 50

torch.manual_seed(5)
torch.set_num_threads(1)
rng = np.random.default_rng(5)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1, stride=2)
        self.conv3 = nn.Conv2d(8, 12, 3, padding=1, stride=2)
        self.fc = nn.Linear(12, CLASSES)

    def layers(self, x):
        """Image, the three activations, the pooled vector, the logits."""
        values = [x]
        for conv in (self.conv1, self.conv2, self.conv3):
            values.append(F.relu(conv(values[-1])))
        values.append(values[-1].mean((2, 3)))
        return values + [self.fc(values[-1])]

    def features(self, x):
        return self.layers(x)[-2]

    def forward(self, x):
        return self.layers(x)[-1]


def train(images, labels):
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(30):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images[rows]), labels[rows], label_smoothing=0.1)
            loss.backward()
            optimizer.step()
    return network.double().eval().requires_grad_(False)


def input_gradient(loss_of, images):
    x = images.clone().requires_grad_(True)
    loss_of(x).sum().backward()
    return x.grad


def sign(gradient):
    """As the sources have it: +1 at 0."""
    return torch.where(gradient >= 0, 1.0, -1.0)


def attack(network, images, labels):
    """Signed gradients at a tenth of the range, rounded to bytes."""
    gradient = input_gradient(lambda x: F.cross_entropy(network(x), labels, reduction="none"),
                              images)
    return ((images + torch.sign(gradient) / 10).clamp(0, 1) * 255).round() / 255


def tnr95(normal, anomalous):
    """Share of anomalous scores above the smallest threshold that keeps 95 % of the normal."""
    threshold = np.sort(normal)[int(np.ceil(0.95 * len(normal) - 1e-9)) - 1]
    return np.mean(anomalous > threshold)


def auroc(normal, anomalous):
    pairs = np.sign(anomalous[:, None] - normal[None, :])
    return np.mean((pairs + 1) / 2)


def choose(options, score, parts, criterion):
    """The first option with the largest figure over all parts (normal, anomalous)."""
    figures = []
    for option in options:
        normal = np.concatenate([score(part[0], option) for part in parts])
        anomalous = np.concatenate([score(part[1], option) for part in parts])
        figures.append(criterion(normal, anomalous))
    return options[int(np.argmax(figures))]


# Detectors; all scores are larger for more anomalous images.

def msp(network, x, temperature=1.0):
    return (1 - F.softmax(network(x) / temperature, 1).max(1).values).numpy()


def energy(network, x, temperature):
    return (-temperature * torch.logsumexp(network(x) / temperature, 1)).numpy()


def odin(network, x, temperature, step):
    def loss(x):
        logits = network(x) / temperature
        return F.cross_entropy(logits, logits.argmax(1), reduction="none")
    stepped = x - step * sign(input_gradient(loss, x)) if step else x
    return msp(network, stepped, temperature)


class Gaussian:
    def __init__(self, features, labels):
        self.means = np.stack([features[labels == c].mean(0) for c in range(CLASSES)])
        model = EmpiricalCovariance().fit(features - self.means[labels])
        self.precision = model.precision_

    def distances(self, feature):
        """Half the squared distance to each class, differentiable."""
        centred = feature[:, None, :] - torch.tensor(self.means)
        return 0.5 * torch.einsum("ncd,de,nce->nc", centred, torch.tensor(self.precision), centred)


def pooled(network, x):
    return [value.mean((2, 3)) for value in network.layers(x)[1:4]]


def mahalanobis(network, gaussian, x, layer, step):
    if step:
        def distance(x):
            distances = gaussian.distances(pooled(network, x)[layer])
            return distances.gather(1, distances.argmin(1, keepdim=True))
        x = x - step * sign(input_gradient(distance, x))
    return gaussian.distances(pooled(network, x)[layer]).min(1).values.numpy()


def logistic(normal, anomalous):
    """Coefficients, intercept, strength; LogisticRegressionCV as Lee et al. call it, converged."""
    rows = np.concatenate([normal, anomalous])
    labels = np.repeat([0, 1], [len(normal), len(anomalous)])
    model = LogisticRegressionCV(Cs=10, cv=5, scoring="accuracy", solver="newton-cholesky",
                                 tol=1e-12, max_iter=10000, l1_ratios=(0.0,),
                                 use_legacy_attributes=False).fit(rows, labels)
    return model.coef_[0], model.intercept_[0], np.asarray(model.C_).ravel()[0]


def scale(rows, low, high):
    """MinMax scaling; a column without range stays at 0."""
    return (rows - low) / np.where(high > low, high - low, 1.0)


def lid(query, reference, k, skip):
    """Levina and Bickel's estimate from k neighbours after the `skip` nearest."""
    distances = np.sort(cdist(query, reference), 1)[:, skip:skip + k]
    ratios = np.log(np.maximum(distances, 1e-12) / np.maximum(distances[:, -1:], 1e-12))
    return -distances.shape[1] / ratios.sum(1)


def flat(network, x):
    """Image, activations, logits, each flattened."""
    values = network.layers(x)
    return [values[i].flatten(1).numpy() for i in (0, 1, 2, 3, 5)]


def lid_original(network, clean, queries):
    """Queries in the order of their clean images, against mini-batches of these."""
    rows = []
    for start in range(0, len(clean), LID_BATCH):
        batch, of = flat(network, clean[start:start + LID_BATCH]), queries[start:start + LID_BATCH]
        k = min(LID_K, len(batch[0]) - 1)
        columns = zip(flat(network, of), batch)
        rows.append(np.stack([lid(q, r, k, 1) for q, r in columns], 1))
    return np.concatenate(rows)


def lid_reference(network, reference, queries):
    """Queries against fixed images; nothing is skipped."""
    rows = [value.numpy() for value in pooled(network, reference)]
    columns = zip(pooled(network, queries), rows)
    return np.stack([lid(q.numpy(), r, LID_K, 0) for q, r in columns], 1)


def squared_norms(network, x, loss):
    """Per image and parameter the squared norm of the loss's gradient, one image at a time."""
    parameters = list(network.parameters())
    rows = []
    for image in x:
        for parameter in parameters:
            parameter.requires_grad_(True)
        gradients = torch.autograd.grad(loss(network(image[None])), parameters)
        rows.append([float((g ** 2).sum()) for g in gradients])
    network.requires_grad_(False)
    return np.array(rows)


def confounding(logits):
    return -logits.log_softmax(1).sum()


def predicted(logits):
    return F.cross_entropy(logits, logits.argmax(1))


def gradnorm(network, x):
    """L1 norm of the last weight's gradient for a uniform target, its sign turned."""
    scores = []
    network.fc.weight.requires_grad_(True)
    for image in x:
        gradient, = torch.autograd.grad(confounding(network(image[None])), network.fc.weight)
        scores.append(-float(gradient.abs().sum()))
    network.requires_grad_(False)
    return np.array(scores)


def fdbd(network, mean, x):
    features, logits = network.features(x).numpy(), network(x).numpy()
    weights = network.fc.weight.numpy()
    scores = []
    for feature, row in zip(features, logits):
        best = row.argmax()
        distances = [(row[best] - row[c]) / np.linalg.norm(weights[best] - weights[c])
                     for c in range(CLASSES) if c != best]
        scores.append(-np.mean(distances) / np.linalg.norm(feature - mean))
    return np.array(scores)


def knn(reference, queries, k):
    unit = lambda rows: rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-10)
    return np.sort(cdist(unit(queries), unit(reference)), 1)[:, k - 1]


def vim(network, reference, x, dimension):
    weights, bias = network.fc.weight.numpy(), network.fc.bias.numpy()
    origin = -scipy.linalg.pinv(weights) @ bias
    features = network.features(reference).numpy() - origin
    _, vectors = scipy.linalg.eigh(features.T @ features / len(features))
    rest = vectors[:, :vectors.shape[1] - dimension]
    alpha = (network(reference).max(1).values.mean().numpy()
             / np.linalg.norm(features @ rest, axis=1).mean())
    virtual = np.linalg.norm((network.features(x).numpy() - origin) @ rest, axis=1)
    return alpha * virtual - torch.logsumexp(network(x), 1).numpy()


def check_peer(network, reference, labels, x, ours):
    try:
        from pytorch_ood import detector
    except ImportError:
        print("pytorch-ood is absent: no second opinion")
        return
    z, zx = network.features(reference), network.features(x)
    # Its own tensors are float32 in some detectors.
    loose, tight = 2e-4, 1e-9
    knn_peer = detector.KNN(None, k=KNN_K).fit_features(z, labels)
    fdbd_peer = detector.fDBD(None, network.fc).fit_features(z)
    single = Network()
    single.load_state_dict(network.state_dict())
    vim_peer = detector.ViM(None, VIM_DIMENSION, single.fc.weight, single.fc.bias)
    vim_peer.fit_features(z, labels)
    single_fdbd = detector.fDBD(None, single.fc).fit_features(z)
    del fdbd_peer
    weight = lambda name: name == "fc.weight"
    for name, theirs, tolerance in [
        ("msp", 1 + detector.MaxSoftmax(network).predict(x), tight),
        ("energy", detector.EnergyBased(network).predict(x), tight),
        ("knn", knn_peer.predict_features(zx), tight),
        ("gradnorm", detector.GradNorm(network, weight).predict(x) * CLASSES, tight),
        ("grad-uncertainty", detector.GradUncertainty(network).predict(x), tight),
        ("vim", vim_peer.predict_features(zx), loose),
        ("fdbd", single_fdbd.predict_features(zx), loose),
    ]:
        error = np.abs(theirs.detach().numpy() - ours[name]) / np.abs(ours[name]).max()
        if name == "grad-uncertainty":
            # PyTorch's binary cross-entropy cuts the gradient of probabilities below 1e-12.
            kept = F.softmax(network(x), 1).min(1).values.numpy() > 1e-11
            print(f"{kept.sum()} of {len(kept)} images without a vanishing probability")
            error = error[kept]
        print(f"pytorch-ood {name}: {error.max():.1e}")
        assert error.max() < tolerance, name


SETS = ("train", "validation", "queries")


def write():
    """A trained network and its images, as the file holds them."""
    digits = load_digits()
    pixels = np.rint(digits.images * 255 / 16).astype(np.uint8)[:, None]
    order = rng.permutation(len(pixels))
    pixels, labels = pixels[order], digits.target[order]
    network = train(torch.tensor(pixels[600:] / 255).float(), torch.tensor(labels[600:]))
    images = torch.tensor(pixels / 255)
    rows = slice(600, 600 + REFERENCE)
    stored = {"labels": labels[rows].astype(np.uint8), "images.reference": pixels[rows]}
    for place, name in enumerate(SETS):
        start = place * CONTRAST
        rows = slice(start, start + (QUERIES if name == "queries" else CONTRAST))
        attacked = attack(network, images[rows], torch.tensor(labels[rows]))
        stored[f"images.{name}.normal"] = pixels[rows]
        stored[f"images.{name}.anomalous"] = (attacked * 255).round().numpy().astype(np.uint8)
    for name, weight in network.state_dict().items():
        stored[f"network.{name}"] = weight.float().numpy()
    stored.update(compute(stored))
    os.makedirs(os.path.dirname(FILE), exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in stored.items()}, FILE)
    print(f"{FILE}: {os.path.getsize(FILE)} bytes")


def check():
    """Every number of the file anew."""
    stored = load_file(FILE)
    for name, value in compute(stored).items():
        error = np.abs(value - stored[name]).max() / np.abs(stored[name]).max().clip(1e-300)
        assert error < 1e-7, f"{name}: {error}; write the file anew if that is meant"
    print(f"{FILE} holds")


def compute(given):
    """Scores, choices and intermediate numbers from the network and the images."""
    network = Network()
    network.load_state_dict({name.removeprefix("network."): torch.tensor(value)
                             for name, value in given.items() if name.startswith("network.")})
    network.double().eval().requires_grad_(False)
    images = lambda name: torch.tensor(given[f"images.{name}"] / 255)
    reference, reference_labels = images("reference"), given["labels"].astype(np.int64)
    sets = {name: (images(f"{name}.normal"), images(f"{name}.anomalous")) for name in SETS}
    fit_on, select_on = sets["train"], sets["validation"]
    parts = [fit_on, select_on]
    x = torch.cat(sets["queries"])
    stored = {}

    scores = {"msp": msp(network, x), "energy": energy(network, x, 1.0),
              "energy.2": energy(network, x, 2.0), "odin.fixed": odin(network, x, 1000, 0.0014)}
    grid = [(t, s) for t in TEMPERATURES for s in ODIN_STEPS]
    setting = choose(grid, lambda x, o: odin(network, x, *o), parts, tnr95)
    scores["odin"] = odin(network, x, *setting)
    chosen = {"odin": setting}

    gaussians = [Gaussian(value.numpy(), reference_labels) for value in pooled(network, reference)]
    distance = lambda x, layer, step: mahalanobis(network, gaussians[layer], x, layer, step)
    scores["mahalanobis-v"] = distance(x, 2, 0.0)
    for name, criterion in [("", tnr95), (".auroc", auroc)]:
        step = choose(STEPS, lambda x, s: distance(x, 2, s), parts, criterion)
        scores["mahalanobis-p" + name] = distance(x, 2, step)
        chosen["mahalanobis-p" + name] = [step]
    layers = lambda x, step: np.stack([distance(x, layer, step) for layer in range(3)], 1)
    weights = {}
    for step in STEPS:
        weights[step] = logistic(*(layers(part, step) for part in fit_on))
    combined = lambda x, step: layers(x, step) @ weights[step][0] + weights[step][1]
    scores["mahalanobis-fe"] = combined(x, 0.0)
    step = choose(STEPS, combined, [select_on], tnr95)
    scores["mahalanobis-p-fe"] = combined(x, step)
    chosen["mahalanobis-p-fe"] = [step]
    stored["logistic.normal"] = layers(fit_on[0], 0.0)
    stored["logistic.anomalous"] = layers(fit_on[1], 0.0)
    stored["logistic.weights"] = np.array([*weights[0.0][0], *weights[0.0][1:]])

    clean = sets["queries"][0]
    rows = [lid_original(network, fit_on[0], queries) for queries in fit_on]
    rows += [lid_original(network, clean, queries) for queries in sets["queries"]]
    stored["lid.original"] = np.concatenate(rows[2:])
    scores["lid-original"] = head(rows)
    spread = reference[np.arange(LID_REFERENCES) * REFERENCE // LID_REFERENCES]
    rows = [lid_reference(network, spread, queries) for queries in (*fit_on, *sets["queries"])]
    stored["lid.reference"] = np.concatenate(rows[2:])
    scores["lid"] = head(rows)

    scores["grad-uncertainty"] = -squared_norms(network, x, confounding).sum(1)
    rows = [np.sqrt(squared_norms(network, queries, predicted))
            for queries in (*fit_on, *sets["queries"])]
    stored["gran.norms"] = np.concatenate(rows[2:])
    scores["gran"] = head(rows)
    scores["gradnorm"] = gradnorm(network, x)
    z = network.features(reference).numpy()
    scores["fdbd"] = fdbd(network, z.mean(0), x)
    scores["knn"] = knn(z, network.features(x).numpy(), KNN_K)
    scores["vim"] = vim(network, reference, x, VIM_DIMENSION)

    check_peer(network, reference, torch.tensor(reference_labels), x, scores)
    for name, value in scores.items():
        half = len(value) // 2
        print(f"{name}: AUROC {auroc(value[:half], value[half:]):.3f}",
              chosen.get(name, ""))
        stored[f"scores.{name}"] = value
    for name, value in chosen.items():
        stored[f"chosen.{name}"] = np.array(value, dtype=np.float64)
    accuracy = (network(reference).argmax(1).numpy() == reference_labels).mean()
    attacked = (network(sets["queries"][1]).argmax(1) == network(clean).argmax(1)).double().mean()
    print(f"accuracy {accuracy:.3f}, unchanged by the attack {attacked:.2f}")
    return stored


def head(rows):
    """Logistic regression of scaled columns on the first two sets, applied to the others."""
    both = np.concatenate(rows[:2])
    low, high = both.min(0), both.max(0)
    weights, intercept, _ = logistic(scale(rows[0], low, high), scale(rows[1], low, high))
    return np.concatenate([scale(r, low, high) for r in rows[2:]]) @ weights + intercept


if __name__ == "__main__":
    {"write": write, "check": check}[MODE]()
