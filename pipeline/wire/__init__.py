"""Every topic's format, byte for byte: each is written and read here, nowhere else."""
