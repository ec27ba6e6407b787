"""How a code is shown to the camera: one frozen record, and named presets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewCondition:
    """How a code is shown and seen. The default is a clean print, straight on.

    Lengths are pixels of the frame, angles degrees, light in grey levels (0 to 255).
    """

    px_per_module: float = 6.0  # at the centre of the code
    # The code's centre as a share of (width, height); None: near the middle.
    position: tuple[float, float] | None = None
    rotation_deg: float = 0.0  # in the plane of the picture
    tilt_deg: float = 0.0  # about the horizontal axis: the top leans away
    pan_deg: float = 0.0  # about the vertical axis: the right side leans away
    cut_off: float = 0.0  # share of the code's width beyond the left edge of the frame
    defocus_px: float = 0.0  # standard deviation of the blur
    motion_px: float = 0.0  # length of the smear during one exposure
    motion_angle_deg: float = 0.0  # 0: sideways, 90: up and down
    noise: float = 0.0  # standard deviation
    glare: float = 0.0  # 0 none, 1 fully burnt out at its centre
    glare_size: float = 0.3  # radius as a share of the code's width
    brightness: float = 0.0  # added after contrast
    contrast: float = 1.0  # about mid-grey
    gamma: float = 1.0  # above 1 darkens the middle tones
    screen: bool = False  # shown on a phone: bezel, page, pixel grid
    pixel_grid: float = 0.12  # depth of the screen's pixel grid; against the sensor it makes moire
    clutter: float = 0.5  # 0 a plain wall, 1 a busy shop
    background: float = 120.0  # mean light behind the code
    vignetting: float = 0.0  # light lost in the corners, 0 to 1
    banding: float = 0.0  # rolling exposure under flickering light: depth of the dark bands, 0 to 1
    banding_px: float = 160.0  # rows between two dark bands
    jpeg_quality: int | None = None  # 1 to 100; None: never compressed


CLEAN = ViewCondition()
SMALL = ViewCondition(px_per_module=3.0, defocus_px=0.5, noise=2)
TILTED = ViewCondition(tilt_deg=35, pan_deg=-15, rotation_deg=20, noise=2)
UPSIDE_DOWN = ViewCondition(rotation_deg=180, noise=2)
BLURRED = ViewCondition(defocus_px=2.2, noise=2)
SMEARED = ViewCondition(motion_px=7, motion_angle_deg=20, noise=2)
NOISY = ViewCondition(noise=28, contrast=0.8)
GLARE = ViewCondition(glare=0.95, glare_size=0.16, noise=3, tilt_deg=10)
PHONE_SCREEN = ViewCondition(
    screen=True, rotation_deg=8, tilt_deg=12, pan_deg=10, noise=3, background=70
)
DARK = ViewCondition(brightness=-85, contrast=0.35, noise=5, gamma=1.2, background=70)
OVEREXPOSED = ViewCondition(brightness=70, contrast=0.5, noise=3)
BANDED = ViewCondition(banding=0.55, noise=4, screen=True)
LOW_LIGHT_JPEG = ViewCondition(
    contrast=0.6, brightness=-30, noise=10, jpeg_quality=35, vignetting=0.4
)
HARD = ViewCondition(
    px_per_module=4.0,
    screen=True,
    tilt_deg=28,
    pan_deg=18,
    rotation_deg=12,
    defocus_px=1.0,
    motion_px=3.0,
    motion_angle_deg=40,
    noise=9,
    glare=0.6,
    glare_size=0.14,
    contrast=0.7,
    vignetting=0.4,
    banding=0.25,
    jpeg_quality=55,
    clutter=1.0,
    background=80,
)
CUT_OFF = ViewCondition(cut_off=0.25)  # no decoder can read it
# No decoder can read it.
HOPELESS = ViewCondition(px_per_module=2.0, defocus_px=3.0, noise=30, contrast=0.4)

READABLE = {
    "clean": CLEAN,
    "small": SMALL,
    "tilted": TILTED,
    "upside down": UPSIDE_DOWN,
    "blurred": BLURRED,
    "smeared": SMEARED,
    "noisy": NOISY,
    "glare": GLARE,
    "phone screen": PHONE_SCREEN,
    "dark": DARK,
    "overexposed": OVEREXPOSED,
    "banded": BANDED,
    "low light jpeg": LOW_LIGHT_JPEG,
    "hard": HARD,
}
UNREADABLE = {"cut off": CUT_OFF, "hopeless": HOPELESS}
PRESETS = READABLE | UNREADABLE
