"""Records of letters: how they are read, and the files that they come from."""
