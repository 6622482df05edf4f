"""Cameras for the tests: real servers whose pictures tell when they were taken."""
