"""Composition of a device: from a profile to devices, and from devices to a scanner."""

from edge.bootstrap.hardware_assembly import OpenCamera, build_hardware, camera_opener
from edge.bootstrap.scanner import build_scanner

__all__ = ["OpenCamera", "build_hardware", "build_scanner", "camera_opener"]
