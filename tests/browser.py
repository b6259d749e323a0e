"""A headless browser for pages that the program writes: chromium as it is installed, driven by playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
SIZES = {"desk": (1400, 900), "phone": (390, 844)}


@contextmanager
def browser() -> Iterator:
    """A browser; the test that asks for it is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser is installed: {', '.join(NAMES)}")
    flags = ["--no-sandbox"] if os.getuid() == 0 else []  # chromium has no sandbox for root
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=flags)
        yield opened
        opened.close()
