"""Write the trained parts as ONNX in compact storage, at any moment of the training.

Matrices are stored as int8 with a scale per output, the rest as float16, and turned into float32
where they are read; onnxruntime does that once, when it loads the graph, so the arithmetic at run
time is float32.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from autoencoder_model import LATENT_CHANNELS, LATENT_SIDE, Autoencoder
from captions import tokenizer
from diffusion_model import TEXT_WIDTH, Diffusion
from onnx import TensorProto, helper, numpy_helper
from render import load_entries
from torch import Tensor, nn

HERE = Path(__file__).parent
WEIGHTS = HERE.parent / "weights"
OPSET = 17


class Encode(nn.Module):
    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, picture: Tensor) -> Tensor:
        return self.model.encode(picture)


class Decode(Encode):
    def forward(self, latents: Tensor) -> Tensor:
        return self.model.decode(latents).clamp(-1, 1)


def export(model: nn.Module, name: str, inputs: dict[str, Tensor], outputs: list[str]) -> int:
    """One file, its batch size free; returns its size in bytes."""
    path = WEIGHTS / f"{name}.onnx"
    torch.onnx.export(
        model.eval(),
        tuple(inputs.values()),
        str(path),
        input_names=list(inputs),
        output_names=outputs,
        dynamic_axes={k: {0: "batch"} for k in (*inputs, *outputs)},
        opset_version=OPSET,
        dynamo=False,
    )
    onnx.save(compacted(onnx.load(str(path))), str(path))
    return path.stat().st_size


def compacted(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store matrices as int8 with a scale per output, other constants as float16."""
    graph, nodes = model.graph, []
    uses = {name: node for node in graph.node for name in node.input}
    for constant in list(graph.initializer):
        values = numpy_helper.to_array(constant)
        if constant.data_type != TensorProto.FLOAT or values.size < 64:
            continue
        graph.initializer.remove(constant)
        axis = summed_axis(uses[constant.name]) if values.ndim == 2 else None
        nodes += stored(graph, constant.name, values, axis)
    for node in reversed(nodes):
        graph.node.insert(0, node)
    return model


def summed_axis(node: onnx.NodeProto) -> int | None:
    """The axis of a matrix over which the node sums (or copies); None if it is no such node."""
    if node.op_type == "MatMul":
        return 0
    if node.op_type == "Gather":
        return 1
    if node.op_type == "Gemm":
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return 1 if transposed else 0
    return None


def stored(
    graph: onnx.GraphProto, name: str, values: np.ndarray, axis: int | None
) -> list[onnx.NodeProto]:
    """Add the stored form of a constant; returns the nodes that make `name` of it."""
    if axis is None:
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), name + ".half"))
        return [helper.make_node("Cast", [name + ".half"], [name], to=TensorProto.FLOAT)]
    scale = np.maximum(np.abs(values).max(axis, keepdims=True), 1e-8) / 127
    whole = np.rint(values / scale).astype(np.int8)
    graph.initializer.append(numpy_helper.from_array(whole, name + ".int8"))
    graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), name + ".scale"))
    return [
        helper.make_node("Cast", [name + ".int8"], [name + ".whole"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [name + ".whole", name + ".scale"], [name]),
    ]


@torch.no_grad()
def main() -> None:
    WEIGHTS.mkdir(exist_ok=True)
    pieces = tokenizer(load_entries())
    autoencoder = Autoencoder()
    autoencoder.load_state_dict(torch.load(HERE / "runs" / "autoencoder-measured.pt")["model"])
    state = torch.load(HERE / "runs" / "diffusion.pt")
    tokens = torch.tensor([pieces.encode("a red heart"), pieces.encode("")])
    model = Diffusion(pieces.size, tokens.shape[1])
    model.load_state_dict(state["mean"])
    latents = torch.randn(2, LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE)
    text, pooled, bias, sketch = model.text(tokens)
    sizes = [
        export(
            Encode(autoencoder), "encoder", {"picture": torch.zeros(2, 3, 128, 128)}, ["latents"]
        ),
        export(Decode(autoencoder), "decoder", {"latents": latents}, ["picture"]),
        export(model.text, "text", {"tokens": tokens}, ["text", "pooled", "bias", "sketch"]),
        export(
            model.denoiser,
            "denoiser",
            {
                "x": latents,
                "t": torch.rand(2),
                "text": text,
                "pooled": pooled,
                "bias": bias,
                "sketch": sketch,
            },
            ["v"],
        ),
    ]
    (WEIGHTS / "tokenizer.json").write_text(json.dumps({"pieces": pieces.pieces}) + "\n")
    about = {
        "latent_shape": [LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE],
        "picture_side": 8 * LATENT_SIDE,
        "text_width": TEXT_WIDTH,
        "steps_trained": state["step"],
    }
    (WEIGHTS / "model.json").write_text(json.dumps(about, indent=2) + "\n")
    print(f"step {state['step']}: {sum(sizes) / 1e6:.1f} MB", sizes, file=sys.stderr)


if __name__ == "__main__":
    main()
