"""ONNX models: what there are, where they come from, and embedding a batch of images with one."""
