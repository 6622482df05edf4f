"""What must hold of the memory that a worker takes up."""
