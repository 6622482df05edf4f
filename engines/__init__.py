"""Model bundles and the engines that run them: tensors and state rows, never streams.

The only place that turns off the telemetry of ONNX Runtime, which sends facts about each model to
Microsoft and writes a device id into the home folder. ONNX Runtime reads the variable when it is
imported, and Python runs this file before any module of this package. A value of the user's is
overwritten: nothing of ours sends data that nobody asked for.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
