"""Codes drawn for the decoder's tests."""

import cv2
import numpy as np
import segno

TOKEN = "ES1:" + "A1B2C3%*" * 30 + "Z9X8Y"  # as long as a real token, and of its alphabet


def matrix(content, **options):
    """Return the modules of a code, (n, n), 1 is dark."""
    options = {"error": "m", "boost_error": False} | options
    code = (
        segno.make_qr(content, **options)
        if not options.pop("micro", False)
        else segno.make_micro(content)
    )
    return np.array([list(row) for row in code.matrix], np.uint8), code


def drawn(content, px=4, frame=(480, 640), at=(60, 80), **options):
    """Draw a code on white paper; return the frame and the quad from the code's top left."""
    modules, _ = matrix(content, **options)
    grey = np.full(frame, 220, np.uint8)
    ink = np.kron(np.where(modules, 30, 220).astype(np.uint8), np.ones((px, px), np.uint8))
    y, x = at
    grey[y : y + len(ink), x : x + len(ink)] = ink
    far = len(ink)
    return grey, ((x, y), (x + far, y), (x + far, y + far), (x, y + far))


def bent(grey, depth):
    """Return the frame with its middle bent by ``depth`` pixels, as on a round can."""
    height, width = grey.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    swell = np.sin(np.pi * x / width) * np.sin(np.pi * y / height)
    return cv2.remap(
        grey,
        x + depth * swell,
        y + depth * swell,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def noisy(grey, sigma, seed=0):
    """Return the frame with sensor noise."""
    noise = np.random.default_rng(seed).normal(0, sigma, grey.shape)
    return np.clip(grey + noise, 0, 255).astype(np.uint8)
