"""Where the frames of a video lie and how a clip is read from there: one class for each kind of store.

    data/mine/a/v_001/       a folder of pictures
    data/mine/a/v_001.zip    the same pictures as members of a zip
    data/mine/a/v_001.npy    their pixels, numpy's own format: uint8 (t, H, W) if grey, else (t, H, W, 3)
    data/mine/a/v_001.features.npy    what a network made of them: float16 (t, d) or (t, d, h, w)
    data/mine/a/v_001.mp4    the video file itself, or one with another ending of `ops.data.frame_names.VIDEOS`

A list line `a/v_001 40 3` means the first of these that is there. `tools/pack_frames.py` writes the second and third,
`tools/extract_features.py` the fourth. A new kind is a class that keeps the contract of `Store`, and an entry in
`STORES`: nothing else learns of it.
"""

import errno
import os
from pathlib import Path

from ops.data.frame_names import VIDEOS
from ops.data.stores.features import FeatureStore
from ops.data.stores.folder import FolderStore
from ops.data.stores.raw import RawStore
from ops.data.stores.store import MissingStore, Store, ViewOf
from ops.data.stores.video import VideoStore
from ops.data.stores.zipped import ZipStore
from ops.errors import InputError

__all__ = [
    "STORES",
    "FeatureStore",
    "FolderStore",
    "MissingStore",
    "RawStore",
    "Store",
    "VideoStore",
    "ViewOf",
    "ZipStore",
    "open_store",
]

STORES: dict[str, type[Store]] = {  # by ending, the first wins
    "": FolderStore,
    ".zip": ZipStore,
    ".npy": RawStore,
    ".features.npy": FeatureStore,
    **dict.fromkeys(VIDEOS, VideoStore),
}


def open_store(path: Path) -> Store:
    """The frames of a list line's `path`: the first of `path`, `path`.zip, `path`.npy, `path`.mp4 and so on that is
    there, or the file itself that `path` names; a `MissingStore` where nothing is.

    InputError for a file that cannot be opened. Packs are mapped, not held open; a video file is opened when frames are
    asked for, and closed with its store: nothing is to be closed.
    """
    for ending, kind in STORES.items():
        if kind.is_there(f"{path}{ending}"):
            return kind(Path(f"{path}{ending}"))
    ending = path.suffix.lower()
    if ending and ending in STORES and os.path.isfile(path):
        return STORES[ending](path)
    try:
        os.stat(path)
    except ValueError:  # no file can have such a name
        pass
    except OSError as error:
        if error.errno in (errno.EACCES, errno.ENAMETOOLONG):  # it may be there
            raise InputError(f"cannot look for {path}: {error.strerror}") from None
    others = [f"{path.name}{ending}" for ending in STORES if ending and ending not in VIDEOS]
    return MissingStore(path, others)
