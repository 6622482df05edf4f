"""Folders as a kubelet mounts them into a container."""

from collections.abc import Mapping
from pathlib import Path

OF_A_KUBELET = 0o2775  # a volume's folder under `fsGroup`
OF_A_SECRET = 0o440


class MountedFolder:
    """A ConfigMap or Secret: each key is a link into `..data`, which is exchanged as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._version = 0

    def update(self, files: Mapping[str, str]) -> None:
        """Exchange the content."""
        self._version += 1
        version = self._folder / f"..{self._version}"
        version.mkdir()
        for name, text in files.items():
            (version / name).write_text(text)
            (version / name).chmod(OF_A_SECRET)
        (self._folder / "..data_tmp").symlink_to(version.name)
        (self._folder / "..data_tmp").replace(self._folder / "..data")
        for name in files:
            if not (self._folder / name).is_symlink():
                (self._folder / name).symlink_to(Path("..data") / name)
