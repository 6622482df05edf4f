"""How the shipped bundle is made: rendered people in, a trained model out. The home of torch.

Everything here needs the extra `longtake[train]`; nothing outside this package imports it.
"""
