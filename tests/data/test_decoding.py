"""One picture: the same pixels whoever decodes them, and errors for all that PIL cannot read."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ops.data import decoding
from ops.data.decoding import decode, describe_decoder, picture_size
from ops.errors import InputError

needs_simplejpeg = pytest.mark.skipif(decoding.simplejpeg is None, reason="simplejpeg is not installed")


def encode(pixels, kind="JPEG", mode=None, **options):
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def noise(height=50, width=61, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8).squeeze()


def ramp(height=96, width=120):
    """Colours that change slowly."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 2, y * 2, 255 - x - y], 2).astype(np.uint8)


@pytest.fixture
def without_simplejpeg(monkeypatch):
    monkeypatch.setattr(decoding, "simplejpeg", None)


def both(data, monkeypatch, halved=False):
    """What the fast decoder and PIL make of a picture."""
    fast = decode(data, "x", halved)
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "simplejpeg", None)
        assert picture_size(data, "x") == fast[0]
        return fast, decode(data, "x", halved)


@needs_simplejpeg
@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("size", [(96, 120), (95, 119)])
def test_both_decoders_agree(monkeypatch, size, halved):
    colour, pil = both(encode(ramp(*size), quality=90), monkeypatch, halved)
    assert colour[0] == pil[0] == size
    assert colour[1].shape == pil[1].shape == ((48, 60, 3) if halved else (*size, 3))
    assert np.abs(colour[1].astype(int) - pil[1]).max() <= 3
    grey, pil = both(encode(noise(*size, 1)), monkeypatch, halved)
    assert grey[1].ndim == 2 and np.abs(grey[1].astype(int) - pil[1]).max() <= halved


@needs_simplejpeg
def test_jpegs_of_every_kind_take_the_fast_road(monkeypatch):
    """Else the agreement above would say nothing."""
    monkeypatch.setattr(Image, "open", None)
    for options in ({}, {"progressive": True}, {"subsampling": "4:4:4"}, {"mode": "L"}):
        assert decode(encode(noise(), **options), "x")[0] == (50, 61)
    assert describe_decoder().startswith("simplejpeg ")


def test_without_the_fast_decoder_the_user_is_told(without_simplejpeg):
    assert describe_decoder().startswith("PIL; `pip install simplejpeg`")


@pytest.mark.parametrize("halved", [False, True])
def test_png_under_any_name(halved):
    size, pixels = decode(encode(ramp(95, 119), "PNG"), "x.jpg", halved)
    assert size == (95, 119)
    if halved:
        assert pixels.shape == (48, 60, 3)
        assert np.abs(pixels[:47, :59].astype(int) - ramp(95, 119)[:94:2, :118:2]).max() <= 2
    else:
        assert np.array_equal(pixels, ramp(95, 119))


def test_cmyk_as_pil_converts_it():
    data = encode(ramp(), mode="CMYK")
    assert np.array_equal(decode(data, "x")[1], np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


WHOLE = {"colour": encode(noise()), "progressive": encode(noise(), progressive=True), "grey": encode(noise(channels=1))}


@given(st.sampled_from(sorted(WHOLE)), st.floats(0, 1, exclude_max=True), st.booleans())
def test_cut_off_anywhere_is_an_error(kind, share, halved):
    data = WHOLE[kind]
    with pytest.raises(InputError, match="^cannot read frame some/x.jpg: .*; extract the video again$"):
        decode(data[: int(len(data) * share)], "some/x.jpg", halved)


@needs_simplejpeg
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=40))
def test_damage_is_an_error_where_it_is_one_for_pil(place, junk):
    data = bytearray(WHOLE["colour"])
    place %= len(data)
    data[place : place + len(junk)] = junk
    data = bytes(data)
    try:
        with Image.open(io.BytesIO(data)) as image:
            expected = np.asarray(image.convert("RGB"))
    except Exception:  # whatever PIL raises
        expected = None
    if expected is None:
        with pytest.raises(InputError):
            decode(data, "x", keep_damaged=True)
        return
    size, pixels = decode(data, "x", keep_damaged=True)
    assert size == expected.shape[:2]
    try:
        decode(data, "x")
    except InputError as error:  # PIL's own pixels are shown, once the user knows
        assert "frame x is damaged (" in str(error) and "--keep_damaged" in str(error)
        assert np.array_equal(pixels.squeeze(), expected.squeeze())


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8", b"\x89PNG"])
def test_no_picture(data):
    for read in (decode, picture_size):
        with pytest.raises(InputError, match="cannot read frame a/b.jpg: it is no picture"):
            read(data, "a/b.jpg")


def test_decompression_bombs_are_errors(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="cannot read frame x: .*decompression bomb"):
        decode(encode(noise()), "x")


# ---------------------------------------------------------------- pixels that would change in silence


@needs_simplejpeg
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_with_a_lost_page_is_an_error_unless_it_is_kept(mode):
    data = bytearray(encode(noise(128, 128), mode=mode))
    data[len(data) // 3 : len(data) // 3 + 200] = bytes(200)
    with pytest.raises(
        InputError, match=r"frame a/1.jpg is damaged \(.+\); extract .*, or take .* with --keep_damaged"
    ):
        decode(bytes(data), "a/1.jpg")
    kept = decode(bytes(data), "a/1.jpg", keep_damaged=True)[1]
    assert np.array_equal(kept, np.asarray(Image.open(io.BytesIO(data))))


def test_every_changed_byte_of_a_png_is_an_error():
    """PIL itself shows other pixels for some of them."""
    data = encode(noise(12, 16), "PNG")
    for place in range(8, len(data) - 12):
        spoilt = bytearray(data)
        spoilt[place] ^= 4
        with pytest.raises(InputError):
            decode(bytes(spoilt), "x.png")


DEEP = [("PNG", np.uint16), ("TIFF", np.uint16), ("TIFF", np.int32), ("TIFF", np.float32)]


@pytest.mark.parametrize(("kind", "dtype"), DEEP)
def test_deep_pictures_are_refused_not_whitened(kind, dtype):
    depth = encode((1800 + 50 * np.arange(48).reshape(6, 8)).astype(dtype), kind)
    for halved in (False, True):
        with pytest.raises(InputError, match="cannot read frame x: it has over 8 bits per value; scale it to 0 to 255"):
            decode(depth, "x", halved, keep_damaged=True)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_colours_may_be_read_as_grey(kind):
    grey = noise(48, 64, 1)
    size, pixels = decode(encode(np.stack([grey] * 3, 2), kind, quality=100), "x", grey=True)
    assert size == (48, 64) and pixels.shape == (48, 64)
    assert np.abs(pixels.astype(int) - grey).max() <= (0 if kind == "PNG" else 4)
