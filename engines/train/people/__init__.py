"""The people of the data pack: bodies, motions, pictures of them."""
