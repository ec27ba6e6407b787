"""A stand-in for picamera2, built from its source because it needs libcamera to be imported.

Every method called must exist in the real class, and every call must bind to its real signature.
Jobs, the layout of buffers, alignment and the checks of a configuration are the real package's
code, compiled out of its source. What is invented here is only the sensor: a thread that completes
a request every few milliseconds, until it is made to stall.
"""

import ast
import contextlib
import copy
import functools
import inspect
import textwrap
import threading
import types
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np


def package() -> Path | None:
    spec = find_spec("picamera2")
    return Path(spec.submodule_search_locations[0]) if spec else None


@functools.cache
def _class(file: str, name: str) -> ast.ClassDef:
    tree = ast.parse((package() / file).read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def _functions(file: str, name: str) -> dict[str, ast.FunctionDef]:
    # Overloads come first and the real definition last, so the last one wins.
    return {
        node.name: node for node in _class(file, name).body if isinstance(node, ast.FunctionDef)
    }


def signatures(file: str, name: str) -> dict[str, inspect.Signature]:
    """Return the signature of each method; a default is only marked as present."""

    def parameter(arg, kind, optional):
        return inspect.Parameter(
            arg.arg, kind, default=None if optional else inspect.Parameter.empty
        )

    found = {}
    for function, node in _functions(file, name).items():
        args = node.args
        required = len(args.posonlyargs) + len(args.args) - len(args.defaults)
        positional = [*args.posonlyargs, *args.args]
        parameters = [
            parameter(arg, inspect.Parameter.POSITIONAL_OR_KEYWORD, place >= required)
            for place, arg in enumerate(positional)
        ]
        if args.vararg:
            parameters.append(inspect.Parameter(args.vararg.arg, inspect.Parameter.VAR_POSITIONAL))
        parameters += [
            parameter(arg, inspect.Parameter.KEYWORD_ONLY, default is not None)
            for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)
        ]
        if args.kwarg:
            parameters.append(inspect.Parameter(args.kwarg.arg, inspect.Parameter.VAR_KEYWORD))
        found[function] = inspect.Signature(parameters)
    return found


def attributes(file: str, name: str) -> set[str]:
    """Methods, properties and everything assigned to ``self``."""
    names = set(_functions(file, name))
    for node in ast.walk(_class(file, name)):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and ast.unparse(node.value) == "self"
        ):
            names.add(node.attr)
    return names


def real_function(file: str, name: str, function: str, **namespace):
    """Compile one method out of the real source, without its decorators and annotations."""
    node = copy.deepcopy(_functions(file, name)[function])
    node.decorator_list, node.returns = [], None
    for arg in ast.walk(node.args):
        if isinstance(arg, ast.arg):
            arg.annotation = None
    exec(compile(textwrap.dedent(ast.unparse(node)), str(package() / file), "exec"), namespace)
    return namespace[function]


def real_module(file: str):
    """Import one file of the package that needs nothing but the standard library."""
    spec = spec_from_file_location(f"picamera2_real_{Path(file).stem}", package() / file)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Sensor:
    """What is in front of the lens, and the machine's faults.

    Every camera opened on it shares it.
    """

    def __init__(
        self,
        scene,
        *,
        stride_align=64,
        controls=(
            "FrameDurationLimits",
            "ExposureTime",
            "AnalogueGain",
            "AeEnable",
            "AfMode",
            "LensPosition",
        ),
    ):
        self.scene, self.stride_align, self.controls = scene, stride_align, controls
        self.stalled = threading.Event()
        self.present = True
        self.format_given = None
        self.calls = []  # (method, arguments as bound to the real signature)
        self.exposed = {"ExposureTime": 10_000, "AnalogueGain": 1.5}  # what the automatic came to
        self.held = 0  # requests not yet released
        self.open_cameras = 0


def modules(sensor: Sensor) -> dict[str, types.ModuleType]:
    """Return the modules ``picamera2`` and ``libcamera``, for ``sys.modules``."""
    formats, job = real_module("formats.py"), real_module("job.py")
    make_array = real_function(
        "request.py", "Helpers", "_make_array_shared", formats=formats, np=np
    )
    check_stream = real_function(
        "picamera2.py", "Picamera2", "check_stream_config", formats=formats
    )
    wait = real_function("picamera2.py", "Picamera2", "wait")
    legacy = types.SimpleNamespace(VC4=1)
    align = real_function(
        "picamera2.py",
        "Picamera2",
        "align_stream",
        Platform=types.SimpleNamespace(Platform=legacy),
        Picamera2=types.SimpleNamespace(platform=2),
    )
    known, allowed = (
        signatures("picamera2.py", "Picamera2"),
        attributes("picamera2.py", "Picamera2"),
    )
    request_known = signatures("request.py", "CompletedRequest")
    mapped_known = signatures("request.py", "MappedArray")

    class Request:
        def __init__(self, buffer, config):
            self.buffer, self.config = buffer, config
            sensor.held += 1

        def get_metadata(self, *args, **kwargs):
            request_known["get_metadata"].bind(self, *args, **kwargs)
            return dict(sensor.exposed)

        def release(self, *args, **kwargs):
            request_known["release"].bind(self, *args, **kwargs)
            assert self.buffer is not None, "released twice"
            self.buffer[:] = 0xEE  # the camera writes into it again
            self.buffer = None
            sensor.held -= 1

    class MappedArray:
        def __init__(self, *args, **kwargs):
            bound = mapped_known["__init__"].bind(self, *args, **kwargs).arguments
            self._request, self._stream = bound["request"], bound["stream"]

        def __enter__(self):
            self.array = make_array(None, self._request.buffer, self._request.config[self._stream])
            return self

        def __exit__(self, *_):
            del self.array

    class Behaviour:
        """What the methods do. Reached only through ``Picamera2`` below, which checks the calls."""

        def __init__(self, camera_num):
            if not sensor.present:
                raise RuntimeError("Camera __init__ sequence did not complete.")
            sensor.open_cameras += 1
            self.frames, self.open, self.started = 0, True, False
            self.lock, self.jobs, self.config = threading.Lock(), [], {}
            self.thread = threading.Thread(target=self.run, daemon=True)

        @property
        def camera_controls(self):
            return dict.fromkeys(sensor.controls, (0, 1, 0))

        def create_video_configuration(self, main, buffer_count, controls):
            main = {"format": "XBGR8888", "preserve_ar": True} | main
            align(main, optimal=False)
            return {"main": main, "buffer_count": buffer_count, "controls": controls}

        def configure(self, camera_config):
            main = dict(camera_config["main"])
            check_stream(self, main, "main")
            for name in camera_config["controls"]:
                if name not in sensor.controls:  # controls.py, Controls.__setattr__
                    raise RuntimeError(f"Control {name} is not advertised by libcamera")
            main["format"] = sensor.format_given or main["format"]
            main["stride"] = -(-main["size"][0] // sensor.stride_align) * sensor.stride_align
            self.config = {"main": main}

        def stream_configuration(self, name):
            return self.config[name]

        def start(self):
            self.started = True
            self.thread.start()

        def set_controls(self, controls):
            for name, value in controls.items():
                if name not in sensor.controls:  # controls.py, Controls.__setattr__
                    raise RuntimeError(f"Control {name} is not advertised by libcamera")
                if value:
                    sensor.exposed[name] = value

        def capture_request(self, wait):
            assert wait is False, "a capture that waits for ever hides a stall"
            with self.lock:
                self.jobs.append(job.Job([self.capture]))
                return self.jobs[-1]

        def wait(self, job, timeout):
            return wait(self, job, timeout=timeout)

        def cancel_all_and_flush(self):
            with self.lock:
                for pending in self.jobs:
                    pending.cancel()
                self.jobs = []

        def close(self):
            assert self.open
            # The real stop is a job itself and would stand behind a capture that never comes.
            assert not self.jobs, "the camera's queue must be flushed before it is closed"
            self.open = False
            self.started = False
            sensor.open_cameras -= 1

        def capture(self):
            height, width = sensor.scene.shape
            main = self.config["main"]
            buffer = np.full((height * 3 // 2, main["stride"]), 0x80, np.uint8)
            buffer[:height, :width] = sensor.scene
            return True, Request(buffer.reshape(-1), self.config)

        def run(self):
            while self.started:
                threading.Event().wait(0.004)
                if sensor.stalled.is_set():
                    continue
                with self.lock:
                    self.frames += 1
                    while self.jobs and self.jobs[0].execute():
                        self.jobs.pop(0).signal()

    class Picamera2:
        def __init__(self, *args, **kwargs):
            bound = known["__init__"].bind(self, *args, **kwargs).arguments
            sensor.calls.append(
                ("__init__", {key: value for key, value in bound.items() if key != "self"})
            )
            self.__dict__["_behaviour"] = Behaviour(bound["camera_num"])

        def __getattr__(self, name):
            assert name in allowed, f"picamera2 has no {name}"
            target = getattr(self._behaviour, name)
            if name not in known or not callable(target):
                return target

            def call(*args, **kwargs):
                bound = dict(known[name].bind(self, *args, **kwargs).arguments)
                del bound["self"]
                if name not in ("capture_request", "wait"):
                    sensor.calls.append((name, bound))
                return target(**bound)

            return call

    picamera2, libcamera = types.ModuleType("picamera2"), types.ModuleType("libcamera")
    picamera2.Picamera2, picamera2.MappedArray = Picamera2, MappedArray
    modes = types.SimpleNamespace(
        Manual="AfModeManual", Auto="AfModeAuto", Continuous="AfModeContinuous"
    )
    libcamera.controls = types.SimpleNamespace(AfModeEnum=modes)
    return {"picamera2": picamera2, "libcamera": libcamera}


@contextlib.contextmanager
def installed(sensor: Sensor):
    """Let ``import picamera2`` find the double."""
    import sys

    doubles = modules(sensor)
    before = {name: sys.modules.get(name) for name in doubles}
    sys.modules.update(doubles)
    try:
        yield sensor
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
