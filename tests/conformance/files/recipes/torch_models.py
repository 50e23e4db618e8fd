"""The small torch modules that both torch exporters are run on."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class Cnn(nn.Module):
    """Conv-BN-ReLU, a block with a skip, pooling, a dense head: the plain residual network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 5, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(5)
        self.conv3 = nn.Conv2d(5, 6, 1)
        self.fc1 = nn.Linear(6, 8)
        self.fc2 = nn.Linear(8, 4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.bn1(self.stem(x)))
        y = self.relu(self.bn2(self.conv2(x)))
        x = self.relu(x + self.conv3(y))
        x = F.adaptive_avg_pool2d(F.max_pool2d(x, 2), 1).flatten(1)
        return self.fc2(self.relu(self.fc1(x)))


class Mlp(nn.Module):
    """Three dense layers; one ReLU module used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 7), nn.Linear(7, 6), nn.Linear(6, 3)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.c(self.relu(self.b(self.relu(self.a(x)))))


class Shared(nn.Module):
    """A switch on the graph input, and two switches on one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        y = self.conv(F.relu(x))
        return F.relu(y) + F.leaky_relu(y, 0.2)


class Knees(nn.Module):
    """Every piecewise-linear activation, each after a 1x1 convolution of its own width."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 4, 5, 6, 7, 8]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.prelu = nn.PReLU(6)

    def forward(self, x):
        x = F.relu6(self.convs[0](x))
        x = F.leaky_relu(self.convs[1](x), 0.1)
        x = self.prelu(self.convs[2](x))
        x = F.hardswish(self.convs[3](x))
        x = F.hardsigmoid(self.convs[4](x))
        return F.hardtanh(x)


class Spelled(nn.Module):
    """Switches written by hand: clamp, maximum, where, a comparison that gates."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 4, 5, 6, 7, 8]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x):
        x = self.layers[0](x).clamp(min=0)
        x = self.layers[1](x)
        x = torch.maximum(x, torch.zeros_like(x))
        x = self.layers[2](x)
        x = torch.where(x > 0, x, 0.1 * x)
        x = self.layers[3](x)
        x = torch.maximum(x, torch.tensor(0.0))
        x = self.layers[4](x).clamp(0, 6)
        return x / x.sum(1, keepdim=True).clamp(min=1e-3)


class Gate(nn.Module):
    """ReLU spelled as a product with its own comparison."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        y = self.fc(x)
        return y * (y > 0)


class Thresholds(nn.Module):
    """nn.Threshold at 0 and at 0.1."""

    def __init__(self, second: float = 0.1) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 5)
        self.second = second

    def forward(self, x):
        x = F.threshold(self.a(x), 0.0, 0.0)
        return F.threshold(self.b(x), self.second, 0.0)


class Transformer(nn.Module):
    """Self-attention and a ReLU perceptron on `[N, T, D]`."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        x = x + self.out(torch.softmax(q @ k.transpose(1, 2) / 8**0.5, dim=-1) @ v)
        return x + self.down(F.relu(self.up(self.norm2(x))))


class Signal(nn.Module):
    """1-D convolutions as for speech, `[N, C, L]`, with a dense head."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(1, 5, 8, stride=2), nn.Conv1d(5, 6, 3)
        self.bn, self.fc = nn.BatchNorm1d(5), nn.Linear(6, 3)

    def forward(self, x):
        x = F.max_pool1d(F.relu(self.bn(self.a(x))), 2)
        return self.fc(F.relu(self.b(x)).mean(-1))


class Smooth(nn.Module):
    """The smooth relatives, each after a dense layer of its own width; one ReLU."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 4, 5, 6, 7, 8, 9, 10, 4]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x):
        x = F.gelu(self.layers[0](x))
        x = F.gelu(self.layers[1](x), approximate="tanh")
        x = F.silu(self.layers[2](x))
        x = F.elu(self.layers[3](x))
        x = F.selu(self.layers[4](x))
        x = F.softplus(self.layers[5](x))
        x = F.mish(self.layers[6](x))
        return F.relu(self.layers[7](x))


class ConvNext(nn.Module):
    """A block that leaves NCHW for its perceptron: `[N, H, W, C]` behind a MatMul."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm, self.up, self.down = nn.LayerNorm(4), nn.Linear(4, 9), nn.Linear(9, 4)

    def forward(self, x):
        y = self.norm(self.mix(x).permute(0, 2, 3, 1))
        y = self.down(F.relu(self.up(y))).permute(0, 3, 1, 2)
        return F.relu(x + y)


class Mixer(nn.Module):
    """An MLP-Mixer block: one perceptron over the tokens, one over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.a, self.b = nn.Linear(5, 6), nn.Linear(6, 5)
        self.c, self.d = nn.Linear(8, 10), nn.Linear(10, 8)

    def forward(self, x):
        y = self.b(F.relu(self.a(self.norm(x).transpose(1, 2)))).transpose(1, 2)
        x = x + y
        return x + self.d(F.relu(self.c(x)))


class Norms(nn.Module):
    """Group and instance normalisation before the switch, which exporters write as Reshapes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 5, 1)
        self.group, self.instance = nn.GroupNorm(2, 6), nn.InstanceNorm2d(5, affine=True)

    def forward(self, x):
        return F.relu(self.instance(self.b(F.relu(self.group(self.a(x))))))


class Unet(nn.Module):
    """Down, up by a transposed convolution and by resizing, joined; a ReGLU by chunk."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.deep = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1)
        self.up, self.join = nn.ConvTranspose2d(5, 6, 2, stride=2), nn.Conv2d(15, 14, 1)

    def forward(self, x):
        skip = F.relu(self.down(x))
        deep = F.relu(self.deep(F.max_pool2d(skip, 2)))
        wide = F.interpolate(deep, scale_factor=2.0, mode="nearest")
        up = F.relu(self.up(deep))
        x = F.relu(torch.cat([self.down(x), wide, up], 1))
        gate, value = self.join(x).chunk(2, 1)
        return F.relu(gate) * value


class Volume(nn.Module):
    """A 3-D convolution, then a switch after flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv3d(2, 3, 2), nn.Linear(24, 4)

    def forward(self, x):
        x = F.relu(self.conv(x))
        return self.fc(F.relu(x.flatten(1) - 0.1))


class Cond(nn.Module):
    """A branch on the data, a switch on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        y = self.fc(x)
        return torch.cond(
            y.sum() > 0, lambda t: torch.relu(t), lambda t: F.leaky_relu(t, 0.5), (y,)
        )


class ScriptedIf(nn.Module):
    """The same branch for the TorchScript exporter."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        y = self.fc(x)
        if bool(y.sum() > 0):
            z = torch.relu(y)
        else:
            z = F.leaky_relu(y, 0.5)
        return torch.relu(z - 0.5)


class ScriptedLoop(nn.Module):
    """A layer applied n times; n is an input."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x, n: int):
        for _ in range(n):
            x = torch.relu(self.fc(x))
        return x
