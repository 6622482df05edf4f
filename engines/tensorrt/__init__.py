"""The GPU engine: TensorRT runs the graphs, pycuda owns memory and stream.

Its modules import both at their top, so only `parts` may be imported before `find_machine` has
returned.
"""
