"""The genuine TensorRT for RTX: NVIDIA's parser and builder, which need no GPU.

It runs in child processes, so that nothing of it is in the process of the tests.
"""
