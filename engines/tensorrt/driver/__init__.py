"""All that talks to the CUDA driver: memory and streams by pycuda, graphs by cuda-bindings."""
