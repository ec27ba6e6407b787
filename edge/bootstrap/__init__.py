"""The one place where a device profile becomes real devices, and they become a scanner."""

from edge.bootstrap.hardware import OpenCamera, build_parts, camera_opener
from edge.bootstrap.scanner import build_scanner
from edge.scanner.hardware import Capturing, Parts

__all__ = ["Capturing", "OpenCamera", "Parts", "build_parts", "build_scanner", "camera_opener"]
