"""From what a user sends (ONNX file, architecture spec, images) to what the engine runs."""
