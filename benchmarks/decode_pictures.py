"""Pictures to decode: photographs with known content, drawn tokens, clips, and empty frames."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from hardware_sim.vision.render import empty, render
from hardware_sim.vision.video_clip import clip
from hardware_sim.vision.view_condition import ViewCondition
from numpy.typing import NDArray

from benchmarks.decode_peers import Reads
from edge.capture import picture_files
from edge.decode.qr.quad import Quad, as_quad, centre, contains

Grey = NDArray[np.uint8]
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

CONDITIONS = {
    "clean": ViewCondition(),
    "soft": ViewCondition(defocus_px=0.7, noise=4),
    "blurred": ViewCondition(defocus_px=1.1, noise=4),
    "very blurred": ViewCondition(defocus_px=1.6, noise=3),
    "tilted": ViewCondition(tilt_deg=30, pan_deg=-15, rotation_deg=25, noise=4, defocus_px=0.6),
    "noisy": ViewCondition(noise=25, contrast=0.7, defocus_px=0.5),
    "dark": ViewCondition(brightness=-80, contrast=0.3, noise=6, defocus_px=0.7),
    "phone": ViewCondition(
        screen=True, rotation_deg=6, tilt_deg=10, pan_deg=8, noise=6, defocus_px=0.8, background=70
    ),
    "smeared": ViewCondition(motion_px=4, motion_angle_deg=25, noise=4, defocus_px=0.5),
    "glare": ViewCondition(glare=0.95, glare_size=0.16, noise=4, defocus_px=0.6),
    "hard": ViewCondition(
        screen=True,
        tilt_deg=20,
        pan_deg=12,
        rotation_deg=10,
        defocus_px=0.9,
        motion_px=2,
        noise=9,
        contrast=0.6,
        jpeg_quality=55,
        vignetting=0.3,
        glare=0.5,
        glare_size=0.12,
    ),
}
PX_PER_MODULE = (1.4, 1.7, 2.0, 2.4, 2.8, 3.3, 4.0, 5.0, 6.0)


@dataclass(frozen=True, slots=True)
class Case:
    """A picture and its known content: texts, or places, or neither where nothing may be read."""

    name: str
    grey: Grey
    texts: frozenset[str] | None = None
    places: tuple[Quad, ...] | None = None

    def judge(self, reads: Reads) -> tuple[bool, int]:
        """Return whether a code was read correctly, and how many reads were false."""
        correct = [self._is_correct(text, quad) for text, quad in reads]
        return any(correct), len(correct) - sum(correct)

    def _is_correct(self, text: str | bytes, quad: Quad) -> bool:
        if self.places is not None:
            return any(contains(place, centre(quad)) for place in self.places)
        assert self.texts is not None
        return any(reading.replace("\r\n", "\n") in self.texts for reading in _readings(text))


def photographs(prefix: str) -> Iterator[Case]:
    """Yield the shared photographs of the folders that begin with ``prefix``, if there are any."""
    root = Path(
        os.environ.get("EDGE_SCANNER_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data"
    )
    for folder in sorted((root / "qr-photos").glob(prefix + "*")):
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        for name, known in sorted(truth.items()):
            texts = (
                frozenset(text.replace("\r\n", "\n") for text in known["texts"])
                if "texts" in known
                else None
            )
            places = (
                tuple(as_quad(marker) for marker in known["markers"])
                if "markers" in known
                else None
            )
            yield Case(f"{folder.name}/{name}", picture_files.load(folder / name), texts, places)


def tokens(seeds: int) -> Iterator[Case]:
    """Yield drawn tokens of 249 characters over the grid of conditions."""
    for px in PX_PER_MODULE:
        for number, (name, condition) in enumerate(CONDITIONS.items()):
            for seed in range(seeds):
                rng = np.random.default_rng([seed, number, round(10 * px)])
                text = token(rng)
                grey = render(text, replace(condition, px_per_module=px), rng=rng)
                yield Case(f"{name} at {px}", grey, frozenset({text}))


def clips(count: int) -> Iterator[tuple[str, list[Grey]]]:
    """Yield (token, frames): a hand brings a phone to the camera, from easy to hard."""
    for seed in range(count):
        rng = np.random.default_rng([7, seed])
        # From 1, easy, to 0.25, which no decoder here reads in any frame.
        ease = 1 - 0.75 * seed / max(1, count - 1)
        held = ViewCondition(
            screen=True,
            px_per_module=2.2 + 1.6 * ease,
            tilt_deg=8 + 18 * (1 - ease),
            pan_deg=10,
            rotation_deg=8,
            defocus_px=0.5 + 0.9 * (1 - ease),
            motion_px=3 * (1 - ease),
            noise=4 + 8 * (1 - ease),
            background=70,
            contrast=0.9 - 0.35 * (1 - ease),
            banding=0.3 * (1 - ease),
            glare=0.8 * (1 - ease),
            glare_size=0.12,
        )
        text = token(rng)
        yield text, list(clip(text, rng=rng, frames=36, condition=held))


def blanks(count: int) -> list[Grey]:
    """Return frames without a code, from a plain wall to a busy shop, each with its own noise."""
    made = []
    for seed in range(count):
        condition = ViewCondition(
            clutter=seed / max(1, count - 1), noise=2 + 4 * (seed % 3), vignetting=0.2
        )
        made.append(empty(condition, rng=np.random.default_rng([9, seed])))
    return made


def token(rng: np.random.Generator) -> str:
    """Return a text of a token's form and length."""
    return "ES1:" + "".join(ALPHABET[letter] for letter in rng.integers(0, len(ALPHABET), 245))


def _readings(text: str | bytes) -> list[str]:
    """Return the texts that bytes may be; some peers do not decode the character set."""
    if isinstance(text, str):
        return [text]
    readings = []
    for charset in ("utf-8", "shift_jis", "latin-1"):
        try:
            readings.append(text.decode(charset))
        except UnicodeDecodeError:
            continue
    return readings
