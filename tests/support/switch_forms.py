"""One table of switch forms for all finders: what torch computes, what the ONNX text computes.

Each row is run through the site finder (ONNX) and through a capture of the torch bridge; both
must see a switch of x with the threshold, or none. A form that a bridge cannot see says why.
"""

from __future__ import annotations

from dataclasses import dataclass

SWITCH, FOLD, NONE = "switch", "fold", "none"


@dataclass(frozen=True)
class Form:
    """One way to write a function of x.

    Attributes:
        name: of the row.
        torch: an expression of the tensor `x`, with `torch`, `F` and the constants below.
        onnx: the body of a graph from `x` to `y`, with the constants below.
        kind: what both must find.
        threshold: of the switch.
        opset: of the graph.
        torch_misses: why the bridge does not see it, "" where it does.
        of: the tensor that is folded.
    """

    name: str
    torch: str
    onnx: str
    kind: str = SWITCH
    threshold: float = 0.0
    opset: int = 17
    torch_misses: str = ""
    of: str = "x"


CONSTANTS = {
    "zero": 0.0, "one": 1.0, "two": 2.0, "three": 3.0, "six": 6.0, "half": 0.5, "tenth": 0.1,
    "minus": -1.0, "minus_half": -0.5,
}  # fmt: skip
"""Scalars of every graph; `zeros`, `ones` and `slopes` are vectors of 4."""
VECTORS = {"zeros": [0.0] * 4, "ones": [1.0] * 4, "slopes": [0.1, 0.2, 0.3, 0.4]}

FORMS = [
    # operators
    Form("relu", "F.relu(x)", "y = Relu(x)"),
    Form("leaky", "F.leaky_relu(x, 0.1)", "y = LeakyRelu <alpha = 0.1> (x)"),
    Form("leaky-steep", "F.leaky_relu(x, 2.0)", "y = LeakyRelu <alpha = 2.0> (x)"),
    Form("leaky-1", "F.leaky_relu(x, 1.0)", "y = LeakyRelu <alpha = 1.0> (x)", NONE),
    Form("prelu", "F.prelu(x, slopes)", "y = PRelu(x, slopes)"),
    Form("prelu-1", "F.prelu(x, ones)", "y = PRelu(x, ones)", NONE),
    Form(
        "threshold",
        "F.threshold(x, 0.5, 0.0)",
        "y = ThresholdedRelu <alpha = 0.5> (x)",
        threshold=0.5,
    ),
    Form("hard-swish", "F.hardswish(x)", "y = HardSwish(x)", threshold=-3),
    Form(
        "hard-sigmoid",
        "F.hardsigmoid(x)",
        "y = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x)",
        threshold=-3,
    ),
    # clips
    Form("relu6", "F.relu6(x)", "y = Clip(x, zero, six)"),
    Form("clamp", "x.clamp(min=0)", "y = Clip(x, zero)"),
    Form("clamp-attribute", "x.clamp(0, 6)", "y = Clip <min = 0.0, max = 6.0> (x)", opset=9),
    Form("clamp-by-tensor", "torch.clamp(x, min=zeros)", "y = Max(x, zeros)"),
    Form("clamp-by-scalar-tensor", "x.clamp(min=torch.tensor(0.0))", "y = Max(x, zero)"),
    Form("clip-other-bound", "x.clamp(-1, 1)", "y = Clip(x, minus, one)", NONE),
    Form("clamp-max", "x.clamp(max=0)", "y = Clip(x, , zero)", FOLD),
    Form("clamp-max-6", "x.clamp(max=6)", "y = Clip(x, , six)", NONE),
    Form("x-minus-clamp-max", "x - x.clamp(max=0)", "m = Clip(x, , zero) y = Sub(x, m)"),
    # maxima and minima
    Form("max", "torch.maximum(x, zeros)", "y = Max(x, zeros)"),
    Form("max-left", "torch.max(zeros, x)", "y = Max(zeros, x)"),
    Form("max-leaky", "torch.maximum(x, 0.1 * x)", "a = Mul(x, tenth) y = Max(x, a)"),
    Form("max-2x", "torch.maximum(x, 2 * x)", "a = Mul(x, two) y = Max(x, a)"),
    Form("max-negative", "torch.maximum(-0.5 * x, x)", "a = Mul(minus_half, x) y = Max(a, x)"),
    Form(
        "max-2x-6x", "torch.maximum(2 * x, x * 6)", "a = Mul(x, two) b = Mul(x, six) y = Max(a, b)"
    ),
    Form("max-abs", "torch.maximum(x, -x)", "a = Neg(x) y = Max(x, a)", FOLD),
    Form("max-of-others", "torch.maximum(x, x.exp())", "a = Exp(x) y = Max(x, a)", NONE),
    Form("min-leaky", "torch.minimum(x, 0.1 * x)", "a = Mul(x, tenth) y = Min(x, a)"),
    Form("min-2x", "torch.minimum(x * 2, x)", "a = Mul(x, two) y = Min(a, x)"),
    Form("min", "torch.minimum(x, zeros)", "y = Min(x, zeros)", FOLD),
    Form("min-6", "x.clamp_max(6)", "y = Min(x, six)", NONE),
    Form("neg-min-neg", "-torch.minimum(-x, zeros)", "a = Neg(x) b = Min(a, zeros) y = Neg(b)"),
    Form(
        "scaled-min-neg",
        "torch.minimum(-x, zeros) * -2",
        "a = Neg(x) b = Min(a, zeros) c = Neg(b) y = Mul(c, two)",
    ),
    Form("x-minus-min", "x - torch.minimum(x, zeros)", "m = Min(x, zeros) y = Sub(x, m)"),
    Form("neg-min-plus-x", "-x.clamp_max(0) + x", "m = Min(x, zero) n = Neg(m) y = Add(n, x)"),
    # with the absolute value
    Form("x-plus-abs", "(x + x.abs()) / 2", "a = Abs(x) b = Add(x, a) y = Div(b, two)"),
    Form("abs-plus-x", "0.5 * (x.abs() + x)", "a = Abs(x) b = Add(a, x) y = Mul(half, b)"),
    Form(
        "halves",
        "0.5 * x + 0.5 * x.abs()",
        "a = Abs(x) b = Mul(a, half) c = Mul(x, half) y = Add(c, b)",
    ),
    Form(
        "halves-divided",
        "x.abs() / 2 + x / 2",
        "a = Abs(x) b = Div(a, two) c = Div(x, two) y = Add(b, c)",
    ),
    Form(
        "c1-x-c2-abs",
        "3 * x + 2 * x.abs()",
        "a = Abs(x) b = Mul(a, two) c = Mul(x, three) y = Add(b, c)",
    ),
    Form("c1-x-minus-c2-abs", "3 * x - x.abs()", "a = Abs(x) c = Mul(x, three) y = Sub(c, a)"),
    Form(
        "sum-of-three",
        "(x.abs() + x + 0) * 0.5",
        "a = Abs(x) b = Sum(a, x, zero) y = Mul(b, half)",
    ),
    Form("mean", "(x.abs() + x) / 2", "a = Abs(x) y = Mean(a, x)"),
    Form(
        "mean-of-three",
        "(x.abs() + x + x) / 3",
        "a = Abs(x) y = Mean(x, a, x)",
    ),
    Form("mean-abs-neg", "(x.abs() - x) / 2", "a = Abs(x) n = Neg(x) y = Mean(a, n)", FOLD),
    Form("sum-of-one", "x.abs()", "a = Abs(x) y = Sum(a)", FOLD),
    Form("abs-of-neg", "x + (-x).abs()", "n = Neg(x) a = Abs(n) y = Add(x, a)"),
    Form("abs", "x.abs()", "y = Abs(x)", FOLD),
    Form("abs-scaled", "x.abs() * 3 + 1", "a = Abs(x) b = Mul(a, three) y = Add(b, one)", FOLD),
    Form("abs-minus-x", "x.abs() - x", "a = Abs(x) y = Sub(a, x)", FOLD),
    Form(
        "abs-shifted",
        "(x - 1) + (x - 1).abs()",
        "s = Sub(x, one) a = Abs(s) t = Sub(x, one) y = Add(t, a)",
        threshold=1.0,
    ),
    # with signs and masks
    Form("x-mask", "x * (x > 0)", "g = Greater(x, zero) m = Cast <to = 1> (g) y = Mul(x, m)"),
    Form(
        "mask-x",
        "(x >= 0).to(x.dtype) * x",
        "g = GreaterOrEqual(x, zero) m = Cast <to = 1> (g) y = Mul(m, x)",
    ),
    Form(
        "one-minus-mask",
        "x * (1 - (x < 0).float())",
        "g = Less(x, zero) m = Cast <to = 1> (g) n = Sub(one, m) y = Mul(x, n)",
    ),
    Form(
        "x-upper-mask",
        "x * (x < 0)",
        "g = Less(x, zero) m = Cast <to = 1> (g) y = Mul(x, m)",
        FOLD,
    ),
    Form(
        "x-sign-plus-1-half",
        "x * (x.sign() + 1) / 2",
        "s = Sign(x) a = Add(s, one) b = Mul(x, a) y = Div(b, two)",
    ),
    Form(
        "half-sign-plus-1-x",
        "(0.5 * (1 + torch.sign(x))) * x",
        "s = Sign(x) a = Add(one, s) b = Mul(half, a) y = Mul(b, x)",
    ),
    Form("x-sign", "x * x.sign()", "s = Sign(x) y = Mul(x, s)", FOLD),
    Form("sign", "x.sign()", "y = Sign(x)", FOLD),
    # choices
    Form(
        "where-leaky",
        "torch.where(x > 0, x, 0.1 * x)",
        "a = Mul(x, tenth) g = Greater(x, zero) y = Where(g, x, a)",
    ),
    Form(
        "where-zero",
        "torch.where(x <= 0, zeros, x)",
        "g = LessOrEqual(x, zero) y = Where(g, zeros, x)",
    ),
    Form(
        "where-scaled",
        "torch.where(x < 0, x * 2, x * 3)",
        "a = Mul(x, two) b = Mul(x, three) g = Less(x, zero) y = Where(g, a, b)",
    ),
    Form(
        "where-threshold",
        "torch.where(x > 0.5, x, zeros)",
        "g = Greater(x, half) y = Where(g, x, zero)",
        threshold=0.5,
    ),
    Form(
        "where-abs",
        "torch.where(x > 0, x, -x)",
        "a = Neg(x) g = Greater(x, zero) y = Where(g, x, a)",
        FOLD,
    ),
    Form(
        "where-same",
        "torch.where(x > 0, x, 1.0 * x)",
        "a = Mul(x, one) g = Greater(x, zero) y = Where(g, x, a)",
        NONE,
    ),
    Form(
        "masked-fill",
        "x.masked_fill(x <= 0, 0.0)",
        "g = LessOrEqual(x, zero) y = Where(g, zero, x)",
    ),
    Form(
        "masked-fill-not",
        "x.masked_fill(~(x > 0), 0.0)",
        "g = Greater(x, zero) n = Not(g) y = Where(n, zero, x)",
    ),
    Form(
        "where-of-ones",
        "x * torch.where(x > 0, 1.0, 0.1)",
        "g = Greater(x, zero) m = Where(g, one, tenth) y = Mul(x, m)",
    ),
    # no switches of x
    Form("sum", "x + x", "y = Add(x, x)", NONE),
    Form("square", "x * x", "y = Mul(x, x)", NONE),
    Form("difference-of-others", "x - x.exp()", "e = Exp(x) y = Sub(x, e)", NONE),
    Form(
        "abs-of-another",
        "x - x.exp().abs()",
        "e = Exp(x) a = Abs(e) y = Sub(x, a)",
        FOLD,
        of="e",
    ),
]
