"""The live page: a wall of tiles, one for each stream, made from what the topics hold."""
