"""How the demo's bundle `actions` is trained."""
