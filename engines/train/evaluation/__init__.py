"""Measures a bundle on labelled streams, and the accuracy that its memory is worth.

The only place that says where matplotlib keeps its list of fonts: in our cache, unless the user
has chosen a folder. Left alone, it makes two folders in the home folder.
"""

import os

from engines.cache import cache_folder

os.environ.setdefault("MPLCONFIGDIR", str(cache_folder(os.environ) / "matplotlib"))
