"""The live page as people see it: in a real browser."""
