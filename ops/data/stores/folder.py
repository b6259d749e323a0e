"""A video as a folder of pictures."""

import os

from ops.data.frame_names import is_hidden
from ops.data.stores.pictures import PictureStore
from ops.errors import InputError


class FolderStore(PictureStore):
    """A video as a folder of pictures."""

    kind = "folder"

    @classmethod
    def is_there(cls, path: str) -> bool:
        return os.path.isdir(path)

    def names(self) -> list[str]:
        return [file.name for file in os.scandir(self.path) if not is_hidden(file.name)]

    def holds(self, name: str) -> bool:
        return os.path.isfile(f"{self.path}/{name}")

    def read(self, name: str) -> bytes:
        try:
            with open(f"{self.path}/{name}", "rb", 0) as file:
                return file.read()
        except FileNotFoundError:
            raise InputError(f"no frame {self.path}/{name}; extract the video again or correct its list line") from None
        except OSError as error:
            raise InputError(f"cannot read frame {self.path}/{name}: {error.strerror}") from None
