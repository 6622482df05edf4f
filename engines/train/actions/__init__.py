"""The system that trains the demo's bundle `actions` on rendered people."""
