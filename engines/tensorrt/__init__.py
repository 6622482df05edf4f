"""The GPU engine: TensorRT runs the graphs, pycuda owns memory and stream.

Its modules import both at their top, so only `parts` may be imported before it has said that they
are there.
"""
