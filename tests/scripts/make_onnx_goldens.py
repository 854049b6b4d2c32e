#!/usr/bin/env python3
"""Writes the small ONNX files under tests/golden/onnx that the import tests read.

    python tests/scripts/make_onnx_goldens.py [FOLDER]

Needs numpy, onnx, onnxruntime, torch, torchvision and onnxscript. Every file is under 100 KB.
Models made by hand come with `<name>.expected.txt`: an image and onnxruntime's logits, so that
shapes and values have an independent source. Seeds are fixed; the PyTorch files change with the
PyTorch version.
"""

import os
import re
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "golden", "onnx")
rng = np.random.default_rng(20)


def weights(*shape):
    """Small multiples of 1/64, exact in every float type used here."""
    return (rng.integers(-64, 65, shape) / 64).astype(np.float32)


class Model:
    """A model under construction; values are named by their node."""

    def __init__(self, name, opset, image=(1, 3, 8, 8), batch="batch"):
        self.name, self.opset, self.image = name, opset, image
        self.nodes, self.stored, self.batch = [], [], batch

    def init(self, name, array):
        self.stored.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def ints(self, name, values):
        return self.init(name, np.array(values, dtype=np.int64))

    def node(self, op, inputs, name, outputs=None, **attributes):
        outputs = [name] if outputs is None else outputs
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, **attributes))
        return outputs[0]

    def proto(self, outputs=("logits",)):
        shape = [self.batch, *self.image[1:]]
        graph = helper.make_graph(
            self.nodes, self.name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT,
                                           [None] * (4 if o == "pooled" else 2))
             for o in outputs],
            self.stored)
        ir = 8 if self.opset <= 18 else 10
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=ir)

    def save(self, expected=True, check=True, outputs=("logits",), reference="logits"):
        model = self.proto(outputs)
        if check:
            onnx.checker.check_model(model)
        onnx.save(model, os.path.join(FOLDER, self.name + ".onnx"))
        if expected:
            image = rng.integers(0, 65, self.image).astype(np.float32) / 64
            write_expected(self.name, image, run(model, image, reference))


def run(model, image, output):
    """The output's value from onnxruntime; `output` may be any value of the model."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    if output not in [o.name for o in model.graph.output]:
        model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run([output], {"image": image})[0]


def write_expected(name, image, logits, **extra):
    """One line per entry: its name, then numbers or words, all separated by blanks."""
    with open(os.path.join(FOLDER, name + ".expected.txt"), "w") as file:
        for key, values in {"image": image.ravel().tolist(), "logits": logits.ravel().tolist(),
                            **extra}.items():
            file.write(" ".join([key, *map(str, values)]) + "\n")


def head(m, value, channels, classes=4):
    """Global average pool, flatten, Gemm to `logits`."""
    pooled = m.node("GlobalAveragePool", [value], "pooled")
    flat = m.node("Flatten", [pooled], "flat")
    w = m.init("fc.weight", weights(classes, channels))
    b = m.init("fc.bias", weights(classes))
    return m.node("Gemm", [flat, w, b], "logits", transB=1)


def conv(m, value, name, cin, cout, k=3, groups=1, bias=False, **attributes):
    window = k if isinstance(k, list) else [k, k]
    operands = [value, m.init(name + ".weight", weights(cout, cin // groups, *window))]
    if bias:
        operands.append(m.init(name + ".bias", weights(cout)))
    return m.node("Conv", operands, name, group=groups, **attributes)


def batch_norm(m, value, name, channels, **attributes):
    stats = [m.init(f"{name}.{part}", weights(channels)) for part in
             ("weight", "bias", "running_mean")]
    var = m.init(f"{name}.running_var", np.abs(weights(channels)) + np.float32(0.5))
    return m.node("BatchNormalization", [value, *stats, var], name, **attributes)


def operators(opset):
    """Every supported operator once, in the spelling of its opset."""
    m = Model(f"operators_{opset}", opset)
    attr = opset <= 10
    x = m.node("Sub", ["image", m.init("image_mean", weights(1, 3, 1, 1))], "centred")
    x = m.node("Div", [x, m.init("image_std", np.full((1, 3, 1, 1), 0.5, np.float32))], "scaled")
    x = conv(m, x, "conv", 3, 6, bias=True, auto_pad="SAME_UPPER", strides=[2, 2])
    x = batch_norm(m, x, "bn", 6)
    x = m.node("LeakyRelu", [x], "leaky", alpha=0.125)
    x = conv(m, x, "depthwise", 6, 6, groups=6, pads=[2, 1, 2, 1], dilations=[2, 1])
    if attr:
        x = m.node("Clip", [x], "clip", min=-1.0, max=1.5)
        y = m.node("Slice", [x], "cut", starts=[1, 0], ends=[-1, 9223372036854775807], axes=[2, 3])
        y = m.node("Pad", [y], "pad", pads=[0, 0, 1, 0, 0, 0, 1, 0], mode="constant", value=0.25)
        y = m.node("Squeeze", [m.node("Unsqueeze", [y], "more", axes=[2])], "less", axes=[2])
    else:
        x = m.node("Clip", [x, m.init("lo", np.float32(-1)), m.init("hi", np.float32(1.5))], "clip")
        y = m.node("Slice", [x, m.ints("starts", [1, 0]), m.ints("ends", [-1, 2 ** 63 - 1]),
                             m.ints("axes", [2, -1]), m.ints("steps", [1, 1])], "cut")
        pads = m.ints("pads", [1, 1]) if opset >= 18 else m.ints("pads", [0, 0, 1, 0, 0, 0, 1, 0])
        y = m.node("Pad", [y, pads, m.init("fill", np.float32(0.25)),
                           *([m.ints("pad_axes", [2])] if opset >= 18 else [])], "pad")
        y = m.node("Unsqueeze", [y, m.ints("two", [2])], "more")
        y = m.node("Squeeze", [y, m.ints("two_again", [-3])], "less")
    x = m.node("Concat", [x, y], "joined", axis=-3)
    x = m.node("Mul", [x, m.init("gamma", weights(12, 1, 1))], "scaled_inside")
    x = m.node("Sigmoid", [m.node("Relu", [x], "relu")], "sigmoid")
    x = m.node("MaxPool", [x], "maxpool", kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 1, 1])
    kind = {"ceil_mode": 1} if opset >= 10 else {}
    x = m.node("AveragePool", [x], "avgpool", kernel_shape=[3, 3], strides=[2, 2],
               pads=[1, 1, 1, 1], count_include_pad=0, **kind)
    x = m.node("Identity", [m.node("Dropout", [x], "dropout")], "same")
    x = m.node("Cast", [x], "cast", to=TensorProto.FLOAT)
    x = m.node("Transpose", [x], "swapped", perm=[0, 2, 3, 1])
    x = m.node("ReduceMean", [x] + ([m.ints("rows", [1])] if opset >= 18 else []), "mean",
               keepdims=0, **({} if opset >= 18 else {"axes": [1]}))
    x = m.node("Softmax", [x], "soft", axis=-1)
    x = m.node("Reshape", [x, m.ints("target", [0, -1])], "rows_out")
    width = 12 * (3 if opset >= 10 else 2)  # ceil_mode came with opset 10
    x = m.node("MatMul", [x, m.init("matmul.weight", weights(width, 5))], "product")
    x = m.node("Add", [x, m.init("matmul.bias", weights(5))], "biased")
    w, b = m.init("gemm.weight", weights(5, 4)), m.init("gemm.bias", weights(1, 4))
    x = m.node("Gemm", [x, w, b], "logits", alpha=0.5)
    m.save()


def shape_chain():
    """x.view(x.size(0), -1) and a computed Pad, as old exporters spell them."""
    m = Model("shape_chain", 13)
    x = conv(m, "image", "conv", 3, 4)
    size = m.node("Gather", [m.node("Shape", [x], "shape"), m.init("zero", np.int64(0))], "batch")
    half = m.node("Div", [m.node("Gather", [m.node("Shape", [x], "shape_2"),
                                            m.init("one", np.int64(1))], "channels"),
                          m.init("two", np.int64(2))], "half")
    grown = m.node("Unsqueeze", [half, m.ints("axis", [0])], "half_list")
    zeros = m.node("ConstantOfShape", [m.ints("three", [3])], "zeros",
                   value=numpy_helper.from_array(np.array([0], np.int64)))
    one = m.ints("zero_list", [0])
    two_zeros = m.ints("two_zeros", [0, 0])
    pads = m.node("Concat", [one, grown, zeros, grown, two_zeros], "pads_7", axis=0)
    x = m.node("Pad", [x, m.node("Cast", [pads], "pads", to=TensorProto.INT64)], "padded")
    flat_2 = m.node("Concat", [m.node("Unsqueeze", [size, m.ints("axis_2", [0])], "batch_list"),
                               m.ints("minus", [-1])], "target", axis=0)
    x = m.node("Reshape", [x, flat_2], "flat")
    m.node("Gemm", [x, m.init("fc.weight", weights(4, 8 * 36)), m.init("fc.bias", weights(4))],
           "logits", transB=1)
    m.save()


def folding():
    """Every operator that is evaluated on constants; all results are added to the logits."""
    m = Model("folding", 17)
    i = lambda name, values: m.init(name, np.array(values, dtype=np.int64))
    f = m.init("f", (np.arange(24).reshape(2, 3, 4) / 4 - 2).astype(np.float32))
    a, b = i("a", [[3, -7, 5]]), i("b", [[2], [-4]])
    scalar = lambda name, value: m.init(name, np.int64(value))
    axis_1 = i("axis_1", [1])
    results = []

    def add(op, inputs, **attributes):
        name = f"{op.lower()}_{len(results)}"
        results.append(m.node(op, inputs, name, **attributes))
        return name

    for op in ("Add", "Sub", "Mul", "Div", "Min", "Max"):
        add(op, [a, b])
        add(op, [f, m.init("g" + op, weights(4) + np.float32(2))])
    flags = [add(op, [a, b]) for op in ("Equal", "Greater", "Less")]
    add("Where", [add("Or", [flags[1], add("Not", [flags[2]])]), a, b])
    add("Where", [add("And", [flags[0], flags[1]]), m.init("row", weights(3)),
                  m.init("zero_f", np.float32(0))])
    for op in ("Neg", "Abs", "Floor", "Ceil"):
        add(op, [f])
    add("Neg", [a])
    add("Sqrt", [add("Abs", [f])])
    add("Range", [scalar("from", 7), scalar("to", -4), scalar("by", -3)])
    add("Expand", [a, i("wide", [2, 1, 3])])
    add("Gather", [f, i("rows", [[-1, 0], [2, 1]])], axis=1)
    add("Slice", [f, i("s", [-1, 0]), i("e", [-9, 3]), i("x", [2, 1]), i("t", [-2, 2])])
    add("Transpose", [f], perm=[2, 0, 1])
    add("Pad", [a, i("p", [1, 0, 0, 2]), scalar("fill", 9)])
    add("Concat", [f, "f_cut"], axis=-1)
    add("Flatten", [f], axis=2)
    for op in ("ReduceProd", "ReduceMin", "ReduceMax"):
        add(op, [add("Mul", [a, b])], axes=[-1], keepdims=0)
    add("ReduceSum", [add("Mul", [a, b]), axis_1])
    add("Squeeze", [add("Unsqueeze", [a, axis_1]), axis_1])
    add("Shape", [f], start=-2)
    add("Size", [f])
    add("Cast", [f], to=TensorProto.INT64)
    add("Cast", [f], to=TensorProto.BOOL)
    add("ConstantOfShape", [i("cube", [2, 2])])
    for value in ({"value_ints": [4, 5]}, {"value_float": 0.5}, {"value_floats": [0.25, 8.0]}):
        add("Constant", [], **value)
    m.init("f_cut", weights(2, 3, 1))
    flat = [m.node("Reshape", [m.node("Cast", [r], r + "_f", to=TensorProto.FLOAT),
                               i(r + "_to", [1, -1])], r + "_flat") for r in results]
    m.node("Concat", flat, "all", axis=1)
    m.node("Add", [m.node("Conv", ["image", m.init("w", weights(1, 3, 8, 8))], "y"), "one_f"], "z")
    m.init("one_f", np.float32(1))
    m.node("Add", [m.node("Flatten", ["z"], "flat"), "all"], "logits")
    m.save()


def small(name, opset=17, batch="batch", body=None, **kw):
    m = Model(name, opset, batch=batch)
    x = conv(m, "image", "conv", 3, 4, pads=[1, 1, 1, 1])
    x = body(m, x) if body else x
    head(m, x, 4)
    m.save(**kw)


def external():
    m = Model("external", 17)
    head(m, conv(m, "image", "conv", 3, 4), 4)
    model = m.proto()
    path = os.path.join(FOLDER, "external.onnx")
    for old in ("external.onnx", "external.onnx.data"):
        if os.path.exists(os.path.join(FOLDER, old)):
            os.remove(os.path.join(FOLDER, old))
    onnx.save(model, path, save_as_external_data=True, location="external.onnx.data",
              size_threshold=0)
    onnx.save(m.proto(), os.path.join(FOLDER, "external_inline.onnx"))


def types():
    """float16, bfloat16 and float_data weights, a Cast back to float."""
    m = Model("types", 17)
    w = weights(4, 3, 3, 3)
    m.stored.append(numpy_helper.from_array(w.astype(np.float16), "half.weight"))
    m.stored.append(helper.make_tensor("brain.bias", TensorProto.BFLOAT16, [4], weights(4)))
    w1 = m.node("Cast", ["half.weight"], "conv.weight", to=TensorProto.FLOAT)
    b1 = m.node("Cast", ["brain.bias"], "conv.bias", to=TensorProto.FLOAT)
    x = m.node("Conv", ["image", w1, b1], "conv")
    m.stored.append(helper.make_tensor("gain", TensorProto.FLOAT, [4, 1, 1], weights(4)))
    head(m, m.node("Mul", [x, "gain"], "gained"), 4)
    m.save()


def merged():
    """Two batch norms whose equal scales were merged behind an Identity."""
    m = Model("merged", 17)
    x = conv(m, "image", "conv", 3, 4)
    x = batch_norm(m, x, "bn1", 4)
    for part in ("weight", "bias"):
        m.node("Identity", [f"bn1.{part}"], f"bn2.{part}")
    var = m.node("Identity", ["bn1.running_var"], "bn2.running_var")
    mean = m.node("Identity", ["bn1.running_mean"], "bn2.running_mean")
    x = m.node("BatchNormalization", [x, "bn2.weight", "bn2.bias", mean, var], "bn2")
    head(m, x, 4)
    m.save()


def shared():
    """One weight used by two convolutions; a transposed weight used with MatMul."""
    m = Model("shared", 17)
    x = conv(m, "image", "conv", 3, 3, pads=[1, 1, 1, 1])
    x = m.node("Conv", [x, "conv.weight"], "again")
    x = m.node("Flatten", [m.node("GlobalAveragePool", [x], "pooled")], "flat")
    t = m.node("Transpose", [m.init("fc.weight", weights(4, 3))], "fc.weight.t", perm=[1, 0])
    m.node("MatMul", [x, t], "logits")
    m.save()


def activations():
    for op in ("Softmax", "Sigmoid", "LogSoftmax"):
        m = Model("trailing_" + op.lower(), 13)
        head(m, conv(m, "image", "conv", 3, 4), 4)
        m.node(op, ["logits"], "activation")
        m.node("Identity", ["activation"], "probabilities")
        m.save(outputs=("probabilities",))


# Name of the golden: operator, opset, attributes; `of` says what the operand is made from.
FUNCTIONS = {
    "exp": ("Exp", 13, {}),
    "log": ("Log", 13, {"of": "positive"}),
    "sqrt": ("Sqrt", 13, {"of": "positive"}),
    "neg": ("Neg", 13, {}),
    "tanh": ("Tanh", 13, {}),
    "erf": ("Erf", 13, {}),
    "elu": ("Elu", 9, {"alpha": 0.75}),
    "selu": ("Selu", 9, {}),
    "softplus": ("Softplus", 13, {}),
    "hard_sigmoid": ("HardSigmoid", 9, {}),
    "hard_sigmoid_sixth": ("HardSigmoid", 13, {"alpha": 1 / 6, "beta": 0.5}),
    "hard_swish": ("HardSwish", 14, {}),
    "gelu": ("Gelu", 20, {}),
    "gelu_tanh": ("Gelu", 20, {"approximate": "tanh"}),
    "mish": ("Mish", 18, {}),
    "pow_square": ("Pow", 13, {"by": 2.0}),
    "pow_cube": ("Pow", 13, {"by": 3.0}),
    "pow_root": ("Pow", 13, {"by": 0.5, "of": "positive"}),
    "pow_fraction": ("Pow", 13, {"by": -1.3, "of": "positive"}),
    "prelu": ("PRelu", 16, {"slopes": (4, 1, 1)}),
    "prelu_single": ("PRelu", 16, {"slopes": (1,)}),
    "log_softmax": ("LogSoftmax", 13, {"axis": 1}),
    "log_softmax_last": ("LogSoftmax", 13, {}),
    "celu": ("Celu", 12, {}),
    "celu_steep": ("Celu", 12, {"alpha": 0.5}),
    "abs": ("Abs", 13, {}),
}


def functions():
    """One function of one variable each, behind a convolution; operands span about -4..4."""
    for name, (op, opset, attributes) in FUNCTIONS.items():
        attributes = dict(attributes)
        of, by = attributes.pop("of", None), attributes.pop("by", None)
        slopes = attributes.pop("slopes", None)

        def body(m, x):
            if of == "positive":
                square = m.node("Mul", [x, x], "square")
                x = m.node("Add", [square, m.init("quarter", np.float32(0.25))], "positive")
            operands = [x]
            if by is not None:
                operands.append(m.init("exponent", np.float32(by)))
            if slopes:
                operands.append(m.init("slope", weights(*slopes)))
            return m.node(op, operands, "function", **attributes)
        small("function_" + name, opset=opset, body=body)


def conditions():
    """Where over every comparison, with values, numbers and zeros; all results are averaged."""
    m = Model("conditions", 16)
    x = conv(m, "image", "conv", 3, 4, pads=[1, 1, 1, 1])
    y = conv(m, x, "again", 4, 4, pads=[1, 1, 1, 1])
    quarter, zero = m.init("quarter", np.float32(0.25)), m.init("zero", np.float32(0))
    bounds = m.init("bounds", weights(4, 1, 1))
    greater, less = m.node("Greater", [x, y], "greater"), m.node("Less", [x, quarter], "less")
    equal = m.node("GreaterOrEqual", [bounds, y], "above")
    opposite = m.node("Not", [m.node("LessOrEqual", [x, x], "always")], "never")
    as_bool = m.node("Cast", [less], "less_bool", to=TensorProto.BOOL)
    results = [
        m.node("Where", [greater, x, y], "maximum"),
        m.node("Where", [as_bool, zero, x], "threshold"),
        m.node("Where", [less, y, quarter], "number"),
        m.node("Where", [equal, bounds, x], "vector"),
        m.node("Where", [opposite, x, y], "other"),
        m.node("Where", [less, bounds, zero], "steps"),
    ]
    flat_head(m, results)
    m.save()


def flat_head(m, results, scale=64):
    """Every element of every result has a weight of its own in the logits, which stay so small
    that no gradient vanishes."""
    flat = [m.node("Flatten", [value], value + "_flat") for value in results]
    model = m.proto(outputs=())
    for value in flat:
        model.graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    width = sum(v.size for v in session.run(flat, {"image": np.zeros(m.image, np.float32)}))
    joined = m.node("Concat", flat, "joined", axis=1)
    w = m.init("fc.weight", weights(2, width) / np.float32(scale))
    return m.node("Gemm", [joined, w, m.init("fc.bias", weights(2))], "logits", transB=1)


POOLS = [
    ("MaxPool", dict(kernel_shape=[2, 2], strides=[2, 2])),
    ("MaxPool", dict(kernel_shape=[3, 2], strides=[2, 3], pads=[1, 0, 0, 1])),
    ("MaxPool", dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
    ("MaxPool", dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)),
    ("MaxPool", dict(kernel_shape=[2, 3], strides=[3, 3], pads=[1, 1, 0, 0], ceil_mode=1)),
    ("MaxPool", dict(kernel_shape=[3, 2], dilations=[2, 3], pads=[2, 0, 1, 1])),
    ("MaxPool", dict(kernel_shape=[2, 2], dilations=[2, 2], strides=[2, 2], ceil_mode=1)),
    ("MaxPool", dict(kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER")),
    ("MaxPool", dict(kernel_shape=[4, 3], strides=[3, 2], auto_pad="SAME_LOWER")),
    ("MaxPool", dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad="VALID")),
    ("MaxPool", dict(kernel_shape=[3, 3], strides=[1, 2], auto_pad="VALID", ceil_mode=1)),
    ("MaxPool", dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER", ceil_mode=1)),
    ("AveragePool", dict(kernel_shape=[2, 2])),
    ("AveragePool", dict(kernel_shape=[3, 2], strides=[2, 3], pads=[1, 0, 0, 1])),
    ("AveragePool", dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1],
                         count_include_pad=1)),
    ("AveragePool", dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
    ("AveragePool", dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)),
    ("AveragePool", dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1,
                         count_include_pad=1)),
    ("AveragePool", dict(kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER")),
    ("AveragePool", dict(kernel_shape=[4, 3], strides=[3, 2], auto_pad="SAME_LOWER",
                         count_include_pad=1)),
    ("AveragePool", dict(kernel_shape=[3, 3], strides=[1, 2], auto_pad="VALID", ceil_mode=1)),
    ("AveragePool", dict(kernel_shape=[2, 2], dilations=[2, 3], pads=[1, 0, 0, 1])),
    ("AveragePool", dict(kernel_shape=[2, 3], dilations=[2, 2], pads=[1, 1, 1, 1],
                         count_include_pad=1)),
    ("GlobalMaxPool", {}),
    ("GlobalAveragePool", {}),
]


def pools():
    """Every form of the window pools; opset 19 has dilations for averages."""
    m = Model("pools", 19, image=(1, 3, 8, 9))
    x = conv(m, "image", "conv", 3, 2)
    flat_head(m, [m.node(op, [x], f"pool_{index}", **attributes)
                  for index, (op, attributes) in enumerate(POOLS)])
    m.save()


def reductions():
    """Reductions over every kind of axes, with axes as attributes and as operands."""
    for opset in (11, 18):
        m = Model(f"reductions_{opset}", opset)
        x = conv(m, "image", "conv", 3, 4, k=4)
        results = []
        for op in ("Sum", "Max", "Min", "Mean", "L1", "L2", "SumSquare"):
            for axes in ([2, 3], [1], [-1], [1, 3], [3, 2, 1]):
                for keep in (0, 1):
                    name = f"{op}_{'_'.join(str(axis % 4) for axis in axes)}_{keep}"
                    if opset == 18:
                        results.append(m.node("Reduce" + op, [x, m.ints(name + "_axes", axes)],
                                              name, keepdims=keep))
                    else:
                        results.append(m.node("Reduce" + op, [x], name, axes=axes, keepdims=keep))
        if opset == 18:
            none = m.ints("none", [])
            results.append(m.node("ReduceMax", [x, none], "same", noop_with_empty_axes=1))
        flat_head(m, results, scale=1024)
        m.save()


def parts():
    """Split in all its versions, Gather, Expand, blocks of pixels, extremes, borders."""
    for opset in (11, 13, 18):
        m = Model(f"parts_{opset}", opset)
        x = conv(m, "image", "conv", 3, 8)
        y = m.node("Conv", ["image", m.init("other.weight", weights(8, 3, 3, 3))], "other")
        results = []

        def split(name, count, lengths=None, of=x, **attributes):
            operands = [of]
            if lengths and opset >= 13:
                operands.append(m.ints(name + "_lengths", lengths))
            elif lengths:
                attributes["split"] = lengths
            elif opset >= 18:
                attributes["num_outputs"] = count
            outputs = [f"{name}_{index}" for index in range(count)]
            m.node("Split", operands, name, outputs=outputs, **attributes)
            return outputs

        results += split("halves", 2, axis=1)[::-1]
        results += split("listed", 3, [1, 2, 3], axis=-1)[1:]
        if opset >= 18:
            results += split("uneven", 3, axis=1)
        scalar = m.init("second", np.array(1, np.int64))
        results.append(m.node("Gather", [x, scalar], "picked", axis=1))
        results.append(m.node("Gather", [x, m.ints("last", [-1])], "kept", axis=3))
        mean = m.node("GlobalAveragePool", [x], "mean")
        results.append(m.node("Expand", [mean, m.ints("wide", [1, 1, 2, 3])], "repeated"))
        results.append(m.node("Expand", [mean, m.node("Shape", [x], "shape")], "spread"))
        results.append(m.node("DepthToSpace", [x], "blocks", blocksize=2))
        results.append(m.node("DepthToSpace", [x], "rows", blocksize=2, mode="CRD"))
        results.append(m.node("SpaceToDepth", [x], "deep", blocksize=3))
        results.append(m.node("Max", [x, m.init("low", np.float32(0.25)), y], "largest"))
        results.append(m.node("Min", [x, y], "smallest"))
        borders = {"reflect": [0, 0, 2, 1, 0, 0, 3, 0], "edge": [0, 1, 0, 2, 0, 0, 3, 1]}
        if opset >= 18:
            borders["wrap"] = [0, 0, 1, 2, 0, 0, 0, 3]
            pieces = m.node("SplitToSequence", [x, m.ints("three_five", [3, 5])], "pieces", axis=1)
            results.append(m.node("SequenceAt", [pieces, scalar], "piece"))
            chunk = m.init("chunk", np.array(4, np.int64))
            pieces = m.node("SplitToSequence", [x, chunk], "chunks", axis=3)
            results.append(m.node("SequenceAt", [pieces, scalar], "rest"))
            rows = m.node("SplitToSequence", [x], "slices", axis=2, keepdims=0)
            results.append(m.node("SequenceAt", [rows, m.init("end", np.array(-2, np.int64))],
                                  "row"))
        for mode, pads in borders.items():
            results.append(m.node("Pad", [x, m.ints(mode + "_pads", pads)], mode, mode=mode))
        flat_head(m, results)
        m.save()


def resizes():
    """Resize by whole factors in all its versions, and Upsample."""
    for opset in (9, 10, 13, 18):
        m = Model(f"resize_{opset}", opset)
        x = conv(m, "image", "conv", 3, 2, k=[5, 3])
        results = []

        def resize(scales, sizes=None, **attributes):
            name = f"resize_{len(results)}"
            op = "Upsample" if opset == 9 else "Resize"
            operands = [x]
            if opset > 10:
                operands.append("")
            if sizes:
                operands += ["", m.ints(name + "_sizes", sizes)]
            else:
                operands.append(m.init(name + "_scales", np.array(scales, np.float32)))
            results.append(m.node(op, operands, name, **attributes))

        resize([1, 1, 2, 3], mode="nearest")
        resize([1, 1, 2, 2], mode="linear")
        if opset >= 10:
            resize([1, 1, 0.5, 1 / 3], mode="nearest")
        if opset >= 13:
            corners = {"coordinate_transformation_mode": "asymmetric"}
            resize([1, 1, 2, 2], mode="nearest", nearest_mode="floor", **corners)
            resize([1, 1, 0.5, 2], mode="nearest", nearest_mode="floor", **corners)
            resize([1, 1, 3, 2], mode="linear", **corners)
            resize([1, 1, 3, 4], mode="linear")
            resize(None, sizes=[1, 2, 8, 12], mode="linear",
                   coordinate_transformation_mode="pytorch_half_pixel")
            resize(None, sizes=[1, 2, 2, 3], mode="nearest", nearest_mode="round_prefer_ceil")
        if opset >= 18:
            resize([3, 2], mode="linear", axes=[2, 3])
            resize([2, 2], mode="nearest", axes=[-1, 2])
        flat_head(m, results)
        m.save()


def resamples():
    """Resize by factors that are not whole, in all places and roundings."""
    global rng
    rng = np.random.default_rng(21)
    m = Model("resample_13", 13)
    x = conv(m, "image", "conv", 3, 2, k=[4, 2])
    results = []

    def resize(scales=None, sizes=None, **attributes):
        name = f"resize_{len(results)}"
        if sizes:
            operands = [x, "", "", m.ints(name + "_sizes", [1, 2, *sizes])]
        else:
            operands = [x, "", m.init(name + "_scales", np.array([1, 1, *scales], np.float32))]
        results.append(m.node("Resize", operands, name, **attributes))

    for places in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"):
        place = {"coordinate_transformation_mode": places}
        resize([1.5, 1.3], mode="linear", **place)
        resize([0.7, 2.5], mode="linear", **place)
        resize(sizes=[7, 1], mode="linear", **place)
        resize(sizes=[9, 10], mode="linear", **place)
        for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
            resize([1.5, 0.8], mode="nearest", nearest_mode=rounding, **place)
            resize(sizes=[1, 7], mode="nearest", nearest_mode=rounding, **place)
            resize([2, 3], mode="nearest", nearest_mode=rounding, **place)
    flat_head(m, results)
    m.save()


def normalisations():
    """Normalisations by the frame's own statistics."""
    m = Model("normalisations", 21)
    x = conv(m, "image", "conv", 3, 4, k=4)

    def node(op, name, scale, shift=None, **attributes):
        operands = [x, m.init(name + ".weight", weights(*scale))]
        if shift:
            operands.append(m.init(name + ".bias", weights(*shift)))
        return m.node(op, operands, name, **attributes)

    flat_head(m, [
        node("LayerNormalization", "last", [5], [5]),
        node("LayerNormalization", "all", [4, 5, 5], axis=1, epsilon=1e-3),
        node("LayerNormalization", "broadcast", [5, 1], [1], axis=-2),
        node("InstanceNormalization", "instance", [4], [4], epsilon=0.25),
        node("GroupNormalization", "group", [4], [4], num_groups=2),
    ])
    m.save()


def refused():
    """Valid or broken models that must be refused with a reason."""
    def training_bn(m, x):
        stats = [m.init("bn." + p, np.ones(4, np.float32)) for p in ("w", "b", "m", "v")]
        return m.node("BatchNormalization", [x, *stats], "bn", outputs=["bn", "bn.m2", "bn.v2"],
                      training_mode=1)
    small("training_bn", body=training_bn, expected=False)

    def old_training_bn(m, x):
        stats = [m.init("bn." + p, np.ones(4, np.float32)) for p in ("w", "b", "m", "v")]
        return m.node("BatchNormalization", [x, *stats], "bn",
                      outputs=["bn", "bn.m2", "bn.v2", "bn.m3", "bn.v3"])
    small("training_bn_9", opset=9, body=old_training_bn, expected=False)

    def two(m, x):
        shrunk = m.node("Shrink", [m.node("Relu", [x], "fine")], "shrink")
        return m.node("Softsign", [shrunk], "soft")
    small("unsupported_two", body=two, expected=False)
    small("dead_branch", body=lambda m, x: (m.node("Tanh", [x], "dead"), x)[1])
    small("batch_8", batch=8, body=lambda m, x: m.node(
        "Reshape", [x, m.ints("target", [8, 4, 64, 1])], "view"), expected=False)
    small("multi", outputs=("logits", "pooled"))
    small("several", outputs=("flat", "pooled"), check=True, expected=False)


def tiny_resnet():
    """Both PyTorch exporters, BatchNorm kept and folded."""
    import torch
    import torch.nn as nn

    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(4)
            self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(4)
            self.down = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False)
            self.bn3 = nn.BatchNorm2d(8)
            self.drop = nn.Dropout()
            self.fc = nn.Linear(8, 4)

        def forward(self, x):
            x = torch.relu(self.bn1(self.conv1(x)))
            x = torch.relu(x + self.bn2(self.conv2(x)))
            x = torch.relu(self.bn3(self.down(x)))
            x = nn.functional.adaptive_avg_pool2d(x, 1)
            return self.fc(self.drop(x.flatten(1)))

    torch.manual_seed(3)
    model = Tiny().eval()
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    image = torch.rand(1, 3, 8, 8)
    path = os.path.join(FOLDER, "tiny_torchscript_kept.onnx")
    exec(recipe().replace('"model.onnx"', "path").replace("32, 32", "8, 8"),
         {"torch": torch, "model": model, "path": path})
    strip(path)
    kinds = {
        "torchscript_folded": dict(dynamo=False),
        "dynamo_folded": dict(dynamo=True),
        "dynamo_kept": dict(dynamo=True, optimize=False),
        "torchscript_training": dict(dynamo=False, training=torch.onnx.TrainingMode.TRAINING,
                                     do_constant_folding=False),
    }
    logits = model(image).detach()
    for name, options in kinds.items():
        path = os.path.join(FOLDER, f"tiny_{name}.onnx")
        if options["dynamo"]:
            options["external_data"] = False
        torch.onnx.export(model, (image,), path, input_names=["image"], output_names=["logits"],
                          **options)
        strip(path)
    write_expected("tiny", image, logits, parameters=[n for n, _ in model.named_parameters()])


def torch_layers():
    """Activations and normalisations as both PyTorch exporters write them."""
    import torch
    import torch.nn as nn

    activations = [nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Hardswish(), nn.Hardsigmoid(),
                   nn.PReLU(4), nn.PReLU(), nn.ELU(0.5), nn.SELU(), nn.Tanh(), nn.Mish(),
                   nn.Softplus(), nn.Softplus(2), nn.LogSoftmax(1)]
    norms = [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True), nn.InstanceNorm2d(4),
             nn.LayerNorm([8, 8])]
    torch.manual_seed(5)
    for kind, inner in (("activations", activations), ("norms", norms)):
        layers = []
        for layer in inner:
            layers += [nn.Conv2d(4 if layers else 3, 4, 1), layer]
        tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)]
        model = nn.Sequential(*layers, *([nn.ReLU()] if kind == "norms" else []), *tail).eval()
        with torch.no_grad():
            for index, layer in enumerate(model):
                for parameter in layer.parameters():
                    norm = kind == "norms" and index % 2 == 1
                    parameter.uniform_(-1, 1) if norm else parameter.mul_(2)
        image = torch.rand(1, 3, 8, 8)
        # Before opset 20 Gelu is written out.
        exporters = {
            "torchscript": dict(dynamo=False, do_constant_folding=False, opset_version=17),
            "dynamo": dict(dynamo=True, external_data=False, opset_version=18, optimize=False)}
        for name, options in exporters.items():
            path = os.path.join(FOLDER, f"{kind}_{name}.onnx")
            torch.onnx.export(model, (image,), path, input_names=["image"],
                              output_names=["logits"], **options)
            strip(path)
        write_expected(kind, image, model(image).detach(),
                       parameters=[n for n, _ in model.named_parameters()])


# Name of the golden: groups, kernel, bias, attributes.
TRANSPOSED = {
    "doubling": (1, 2, True, {"strides": [2, 2]}),
    "beyond": (1, 3, True, {"strides": [2, 3], "pads": [1, 0, 1, 2], "output_padding": [1, 2]}),
    "groups": (2, 3, False, {"group": 2, "strides": [2, 2], "pads": [1, 1, 0, 0]}),
    "dilated": (1, 2, True, {"dilations": [3, 2]}),
    "valid": (1, 3, False, {"strides": [2, 2], "auto_pad": "VALID"}),
    "same_upper": (1, 3, True, {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "same_lower": (1, 4, True, {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    "shape": (1, 3, False, {"strides": [2, 2], "output_shape": [16, 15]}),
}


def transposed():
    """ConvTranspose behind a convolution."""
    for name, (groups, kernel, bias, attributes) in TRANSPOSED.items():
        def body(m, x):
            operands = [x, m.init("up.weight", weights(4, 4 // groups, kernel, kernel))]
            if bias:
                operands.append(m.init("up.bias", weights(4)))
            return m.node("ConvTranspose", operands, "up", **attributes)
        small("transposed_" + name, body=body)


def layer_norms():
    """LayerNormalization over the last axis, and over all after the batch, without a shift."""
    def last(m, x):
        return m.node("LayerNormalization", [x, m.init("ln.weight", weights(8)),
                                             m.init("ln.bias", weights(8))], "ln", epsilon=1e-3)

    def all_axes(m, x):
        scale = m.init("ln.weight", weights(4, 8, 8))
        return m.node("LayerNormalization", [x, scale], "ln", axis=1)
    small("layer_norm_last", body=last)
    small("layer_norm_all", body=all_axes)


def gathers():
    """Gather by one index, by neighbours, and by a list out of order."""
    def body(m, x):
        one = m.node("Gather", [x, m.init("two", np.int64(2))], "one", axis=2)
        one = m.node("Unsqueeze", [one, m.ints("row", [2])], "row_again")
        run = m.node("Gather", [x, m.ints("run", [1, 2, 3])], "neighbours", axis=2)
        mixed = m.node("Gather", [x, m.ints("mixed", [-1, 0, 5, 0])], "listed", axis=-2)
        return m.node("Concat", [one, run, mixed], "joined", axis=2)
    small("gather", body=body)


def torch_attention():
    """A vision transformer as both PyTorch exporters write it: batch and tokens change places."""
    import torch
    from torchvision.models.vision_transformer import VisionTransformer

    torch.manual_seed(6)
    model = VisionTransformer(image_size=8, patch_size=4, num_layers=1, num_heads=2, hidden_dim=8,
                              mlp_dim=12, num_classes=4).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)
    image = torch.rand(1, 3, 8, 8)
    kinds = {"torchscript": dict(dynamo=False, do_constant_folding=False, opset_version=17),
             "dynamo": dict(dynamo=True, external_data=False, opset_version=18, optimize=False)}
    for name, options in kinds.items():
        path = os.path.join(FOLDER, f"attention_{name}.onnx")
        torch.onnx.export(model, (image,), path, input_names=["image"], output_names=["logits"],
                          **options)
        strip(path)
    write_expected("attention", image, model(image).detach(),
                   parameters=[n for n, _ in model.named_parameters()])


def recipe():
    """The export recipe exactly as the importer shows it."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                          "..", "..", "host-tools", "graph", "src", "import.rs")
    with open(source) as file:
        text = re.search(r'EXPORT_RECIPE: &str = "\\\n(.*?)";\n', file.read(), re.S).group(1)
    return text.replace('\\"', '"')


def strip(path):
    """Leaves out documentation and metadata, which name local files and are large."""
    model = onnx.load(path)
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output,
                  *model.graph.initializer]:
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    onnx.save(model, path)


def relu_min():
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], name="relu")], "relu_min",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, os.path.join(FOLDER, "relu_min.onnx"))


def main():
    warnings.filterwarnings("ignore")
    os.makedirs(FOLDER, exist_ok=True)
    relu_min()
    for opset in (9, 13, 22):
        operators(opset)
    shape_chain()
    folding()
    external()
    types()
    merged()
    shared()
    activations()
    refused()
    functions()
    conditions()
    pools()
    reductions()
    parts()
    resizes()
    normalisations()
    tiny_resnet()
    torch_layers()
    torch_attention()
    transposed()
    layer_norms()
    gathers()
    resamples()
    for entry in sorted(os.listdir(FOLDER)):
        size = os.path.getsize(os.path.join(FOLDER, entry))
        assert size < 100_000, (entry, size)
        print(f"{size:7d} {entry}")


if __name__ == "__main__":
    main()
