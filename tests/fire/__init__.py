"""Measures promise 5: a hostile producer at full speed harms only its own streams."""
