"""Models for other programs: ONNX, torch.export, and a page that draws in the visitor's browser."""
