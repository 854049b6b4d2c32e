"""The smallest networks that have what is particular to a family, built from torchvision's blocks:
what families.py writes as goldens."""

from functools import partial

import torch
import torchvision.models as tv
from torch import nn
from torchvision.models import efficientnet, mnasnet, mobilenetv2, mobilenetv3
from torchvision.models import regnet, resnet, squeezenet
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.googlenet import Inception
from torchvision.ops.misc import Conv2dNormActivation

CLASSES = 4
SIDE = 16
FRAMES = 4


def classifier(activation, stem, *blocks, channels):
    """Stem, blocks, mean over the pixels, linear head."""
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(channels, CLASSES)]
    stem = Conv2dNormActivation(3, stem, 3, 2, activation_layer=activation)
    return nn.Sequential(stem, *blocks, *head)


def resnet_small():
    """A plain block, one that halves the image, and a bottleneck."""
    def down(i, o, stride):
        return nn.Sequential(resnet.conv1x1(i, o, stride), nn.BatchNorm2d(o))
    return classifier(nn.ReLU, 6, nn.MaxPool2d(3, 1, 1), resnet.BasicBlock(6, 6),
                      resnet.BasicBlock(6, 8, 2, down(6, 8, 2)),
                      resnet.Bottleneck(8, 4, 1, down(8, 16, 1)), channels=16)


def mobilenet_v2_small():
    """With and without a shortcut."""
    block = mobilenetv2.InvertedResidual
    return classifier(nn.ReLU6, 6, block(6, 8, 2, 2), block(8, 8, 1, 2), channels=8)


def mobilenet_v3_small():
    """Squeeze and excitation, both activations."""
    config = partial(mobilenetv3.InvertedResidualConfig, width_mult=1.0, dilation=1)
    norm = partial(nn.BatchNorm2d, eps=0.001)
    first = mobilenetv3.InvertedResidual(config(8, 3, 16, 8, True, "RE", stride=2), norm)
    second = mobilenetv3.InvertedResidual(config(8, 5, 16, 8, True, "HS", stride=1), norm)
    return classifier(nn.Hardswish, 8, first, second, channels=8)


def squeezenet_small():
    """A convolution as the head, pools that round up."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        squeezenet.Fire(6, 3, 4, 4), squeezenet.Fire(8, 3, 4, 4), nn.Conv2d(8, CLASSES, 1),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))


def googlenet_small():
    """Four branches, one of them a pool."""
    return classifier(nn.ReLU, 6, nn.MaxPool2d(3, 2, ceil_mode=True),
                      Inception(6, 3, 2, 4, 2, 3, 2),
                      Inception(12, 4, 3, 4, 2, 2, 2), channels=12)


class InceptionSmall(nn.Module):
    """Inception v3's 1 x 7 and 7 x 1 kernels, average pool and branch that halves the image."""

    def __init__(self):
        super().__init__()
        conv = partial(Conv2dNormActivation, activation_layer=nn.ReLU)
        self.stem = conv(3, 6, 3, 2, 0)
        self.flat = conv(6, 3, (1, 7), 1, (0, 3))
        self.tall = conv(3, 4, (7, 1), 1, (3, 0))
        self.pool = conv(6, 3, 1)
        self.halve = conv(7, 5, 3, 2, 0)
        self.fc = nn.Linear(12, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        mean = nn.functional.avg_pool2d(x, 3, 1, 1)
        x = torch.cat([self.tall(self.flat(x)), self.pool(mean)], 1)
        x = torch.cat([self.halve(x), nn.functional.max_pool2d(x, 3, 2)], 1)
        return self.fc(nn.functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


def efficientnet_small():
    """Swish, squeeze and excitation, a shortcut."""
    config = efficientnet.MBConvConfig
    first = efficientnet.MBConv(config(1, 3, 2, 8, 8, 1), 0.0, nn.BatchNorm2d)
    second = efficientnet.MBConv(config(2, 5, 1, 8, 8, 1), 0.0, nn.BatchNorm2d)
    return classifier(nn.SiLU, 8, first, second, channels=8)


def regnet_small(ratio):
    """Grouped convolutions; with a ratio also squeeze and excitation."""
    params = regnet.BlockParams([1, 1], [8, 16], [4, 4], [1.0, 1.0], [2, 2], ratio)
    return tv.RegNet(params, CLASSES, stem_width=8)


def mnasnet_small():
    """With and without a shortcut."""
    block = partial(mnasnet._InvertedResidual, expansion_factor=2)
    return classifier(nn.ReLU, 6, block(6, 8, 5, 2), block(8, 8, 3, 1), channels=8)


def convnext_small():
    """Normalisation of a pixel's channels, GELU, layer scale."""
    return tv.ConvNeXt([CNBlockConfig(8, 12, 1), CNBlockConfig(12, None, 1)], num_classes=CLASSES)


class Upsampling(nn.Module):
    """Resampling as segmentation and feature pyramids have it. The weights of these factors are
    exact in f32; others differ by 1e-7 between PyTorch's float64 and what the file says."""

    def __init__(self):
        super().__init__()
        self.first = Conv2dNormActivation(3, 5, 3, 2)
        self.second = Conv2dNormActivation(5, 6, 5, 1, 0)
        self.third = Conv2dNormActivation(6, 8, 3, 1)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.first(x)
        x = self.second(nn.functional.interpolate(x, scale_factor=1.5))
        x = nn.functional.interpolate(x, size=(15, 15), mode="bilinear", align_corners=True)
        x = nn.functional.interpolate(self.third(x), scale_factor=0.5, mode="bilinear")
        return self.fc(nn.functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


def vit_small():
    """Attention of two heads over four patches and the class token."""
    model = tv.VisionTransformer(SIDE, 8, 1, 2, 8, 12, num_classes=CLASSES)
    nn.init.normal_(model.heads.head.weight, 0, 0.3)  # zero at first: no gradient would pass
    return model


BUILDERS = {
    "resnet": resnet_small,
    "densenet": lambda: tv.DenseNet(3, (2, 2), 6, bn_size=2, num_classes=CLASSES),
    "mobilenet_v2": mobilenet_v2_small,
    "mobilenet_v3": mobilenet_v3_small,
    "shufflenet_v2": lambda: tv.ShuffleNetV2([2, 1, 1], [6, 8, 12, 16, 16], CLASSES),
    "squeezenet": squeezenet_small,
    "googlenet": googlenet_small,
    "inception": InceptionSmall,
    "efficientnet": efficientnet_small,
    "regnet_x": lambda: regnet_small(None),
    "regnet_y": lambda: regnet_small(0.25),
    "mnasnet": mnasnet_small,
    "convnext": convnext_small,
    "upsampling": Upsampling,
    "vit": vit_small,
}

NETWORKS = {name: (build, SIDE, FRAMES) for name, build in BUILDERS.items()}
