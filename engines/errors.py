"""Everything `engines` raises on purpose.

EngineError                 stop: something about the model or the device is wrong
├── BundleError             the bundle on disk is damaged; names the file and field
├── EngineUnavailableError  the machine lacks what the engine needs; says what to install
├── BuildError              TensorRT cannot make a plan of the bundle; quotes what it said
├── VerificationError       two engines, or two batch sizes, disagree about the same bundle
└── DeviceError             the device failed in mid-run: the rows it holds are no longer trusted
"""


class EngineError(Exception):
    """Root of the errors of this package. Fate: stop."""


class BundleError(EngineError):
    """A bundle is damaged or breaks the format. The message names file, field and value."""


class EngineUnavailableError(EngineError):
    """This machine has no GPU, driver or library for the engine. The message says the way out."""


class BuildError(EngineError):
    """TensorRT refuses a graph, or fails while it makes a plan of it. Quotes its own words."""


class VerificationError(EngineError):
    """An engine's answers differ from the oracle's, or depend on the rest of the batch."""


class DeviceError(EngineError):
    """A running engine failed. Its rows are lost: restore them from the changelog."""
