"""Write the trained parts as ONNX with half-precision storage, at any moment of the training.

Each weight is stored as float16 and cast to float32 where it is read; onnxruntime folds the casts
when it loads the graph, so the arithmetic at run time is float32 (a CPU has no fast float16).
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
from diffusion_model import Diffusion, TEXT_WIDTH
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
    onnx.save(halved(onnx.load(str(path))), str(path))
    return path.stat().st_size


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the larger float32 constants as float16 behind a Cast."""
    graph, casts = model.graph, []
    for constant in list(graph.initializer):
        if constant.data_type != TensorProto.FLOAT or np.prod(constant.dims) < 64:
            continue
        name, values = constant.name, numpy_helper.to_array(constant)
        graph.initializer.remove(constant)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
    return model


@torch.no_grad()
def main() -> None:
    WEIGHTS.mkdir(exist_ok=True)
    pieces = tokenizer(load_entries())
    autoencoder = Autoencoder()
    autoencoder.load_state_dict(torch.load(HERE / "runs" / "autoencoder.pt")["model"])
    state = torch.load(HERE / "runs" / "diffusion.pt")
    tokens = torch.tensor([pieces.encode("a red heart"), pieces.encode("")])
    model = Diffusion(pieces.size, tokens.shape[1])
    model.load_state_dict(state["mean"])
    latents = torch.randn(2, LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE)
    text, pooled, bias = model.text(tokens)
    sizes = [
        export(Encode(autoencoder), "encoder", {"picture": torch.zeros(2, 3, 128, 128)}, ["latents"]),
        export(Decode(autoencoder), "decoder", {"latents": latents}, ["picture"]),
        export(model.text, "text", {"tokens": tokens}, ["text", "pooled", "bias"]),
        export(
            model.denoiser,
            "denoiser",
            {"x": latents, "t": torch.rand(2), "text": text, "pooled": pooled, "bias": bias},
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
