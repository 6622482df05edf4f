"""Draws predictions over the video that they were made from. The only code that draws."""
