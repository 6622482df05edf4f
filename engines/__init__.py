"""Model bundles and the engines that run them: tensors and state rows, never streams."""
