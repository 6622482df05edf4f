"""Memory of TensorRT's that Python may read: plans and timing caches."""

from tensorrt_bindings import DataType


class IHostMemory(bytes):
    """Only a buffer. In Python 3.11 that is a subclass of `bytes`, whose other ways are closed."""

    __len__ = __getitem__ = __iter__ = __add__ = __contains__ = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> object:
        if not name.startswith("__") and name not in ("nbytes", "dtype"):
            raise AttributeError(f"'IHostMemory' object has no attribute {name!r}")
        return super().__getattribute__(name)

    @property
    def nbytes(self) -> int:
        return memoryview(self).nbytes

    @property
    def dtype(self) -> DataType:
        return DataType.UINT8
