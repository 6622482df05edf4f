"""What TensorRT is given: a bundle's graphs in its form, and the shapes that plans are for."""
