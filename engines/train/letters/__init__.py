"""Training on letters: the recipes `languages` and `strands`, from published packages of data."""
