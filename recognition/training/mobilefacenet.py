"""MobileFaceNet as it is trained, and its way to the engine's and back.

The engine's network has its batch normalisation folded into the convolutions, as the published
weights have. Here every convolution has it back: what is trained is the engine's own class, layer
by layer, and what comes out is folded again, so that the engine runs it like any other.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recognition.embed import DIMENSION, MobileFaceNet

_EPSILON = 1e-5


class NormalisedConv(nn.Module):
    """A convolution of the engine's network, without its bias, and batch normalisation after it."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        conv.bias = None
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels, _EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution it stands for."""
        output: Tensor = self.norm(self.conv(x))
        return output


class TrainableMobileFaceNet(nn.Module):
    """(N, 3, 112, 112) RGB faces, (v - 127.5) / 128, to (N, dimension), not yet of length 1."""

    def __init__(self, dimension: int = DIMENSION) -> None:
        super().__init__()
        self.dimension = dimension
        net = MobileFaceNet(dimension)
        for name, conv in list(net.named_modules()):
            if isinstance(conv, nn.Conv2d):
                net.set_submodule(name, NormalisedConv(conv))
        self.net = net

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, 112, 112) float32 -> (N, dimension) float32."""
        output: Tensor = self.net(faces)
        return output

    def folded(self) -> dict[str, Tensor]:
        """State of `MobileFaceNet` that gives the same vectors as this one in evaluation mode.

        Convolution and normalisation are both linear: gamma (w x - mean) / deviation + beta.
        """
        state = {}
        with torch.no_grad():
            for name, module in self.net.named_modules():
                match module:
                    case NormalisedConv(conv=conv, norm=norm):
                        mean = norm.get_buffer("running_mean")
                        variance = norm.get_buffer("running_var")
                        gain = norm.weight / (variance + norm.eps).sqrt()
                        state[f"{name}.weight"] = conv.weight * gain[:, None, None, None]
                        state[f"{name}.bias"] = norm.bias - mean * gain
                    case nn.PReLU():
                        state[f"{name}.weight"] = module.weight.clone()
        return state

    @torch.no_grad()
    def unfold(self, state: Mapping[str, Tensor], faces: Tensor) -> None:
        """Take over weights of `MobileFaceNet`, such as those shipped, to train on from there.

        The published file has no statistics left. They are measured on `faces`, and gain and
        offset set so that they undo each other: in evaluation mode the network gives the vectors
        of `state` whatever the faces are; in training mode nearly so, where a batch's
        statistics are like theirs.

        Args:
            state: of a network of this dimension.
            faces: (N, 3, 112, 112), as `forward` takes them; some hundred of what it will see.

        Raises:
            RuntimeError: the state is of another network.
        """
        folded = MobileFaceNet(self.dimension)
        folded.load_state_dict(state)
        own = dict(self.net.named_modules())
        for name, module in folded.named_modules():
            if isinstance(module, nn.PReLU):
                own[name].load_state_dict(module.state_dict())
            elif isinstance(module, nn.Conv2d):
                _take_over(own[name], module)
        with _Measuring(self):
            self.eval()(faces)


def _take_over(target: nn.Module, conv: nn.Conv2d) -> None:
    """Weights into the convolution; the bias into a normalisation that does nothing else."""
    target.get_parameter("conv.weight").copy_(conv.weight)
    norm = target.get_submodule("norm")
    norm.get_buffer("running_mean").zero_()
    norm.get_buffer("running_var").fill_(1 - _EPSILON)
    norm.get_parameter("weight").fill_(1)
    norm.get_parameter("bias").copy_(conv.get_parameter("bias"))


class _Measuring:
    """While it is entered, a forward pass sets every normalisation to what comes to it."""

    def __init__(self, net: nn.Module) -> None:
        self._norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]

    def __enter__(self) -> None:
        self._hooks = [norm.register_forward_hook(_measure) for norm in self._norms]

    def __exit__(self, *reason: object) -> None:
        for hook in self._hooks:
            hook.remove()


def _measure(norm: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    # Called after the normalisation was computed as it was: the function stays the same.
    variance, mean = torch.var_mean(inputs[0].double(), (0, 2, 3), correction=0)
    norm.get_buffer("running_mean").copy_(mean)
    norm.get_buffer("running_var").copy_(variance)
    norm.get_parameter("weight").copy_((variance + _EPSILON).sqrt())
    norm.get_parameter("bias").add_(mean)
