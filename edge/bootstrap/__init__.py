"""The one place where a device profile becomes real devices, and they become a scanner."""

from edge.bootstrap.hardware import OpenCamera, build_parts, camera_opener
from edge.bootstrap.scanner import build_scanner

__all__ = ["OpenCamera", "build_parts", "build_scanner", "camera_opener"]
