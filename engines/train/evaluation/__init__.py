"""How good a bundle is on labelled streams, and what a lost memory costs."""
