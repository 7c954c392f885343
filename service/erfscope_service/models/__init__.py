"""/models: store an ONNX file once, and see what is inside."""
