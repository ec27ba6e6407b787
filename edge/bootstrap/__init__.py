"""The one place where a device profile becomes real devices, and they become a scanner."""

from edge.bootstrap.hardware_assembly import OpenCamera, build_hardware, camera_opener
from edge.bootstrap.scanner import build_scanner

__all__ = ["OpenCamera", "build_hardware", "build_scanner", "camera_opener"]
