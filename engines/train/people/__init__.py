"""Rendered people: the pack of bodies and motions, random scenes, the renderer, labelled takes."""
