"""What every section of a profile is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from edge.values.node_name import NAME, device_name_fault


def _permitted(name: str) -> str:
    if fault := device_name_fault(name):
        raise PydanticCustomError("device_name", "{fault}", {"fault": fault})
    return name


Name = Annotated[str, Field(pattern=rf"^{NAME}$")]
DeviceName = Annotated[Name, AfterValidator(_permitted)]
Pin = Annotated[int, Field(ge=0, le=27)]  # BCM numbering, the 40-pin header
Node = Annotated[str, Field(pattern=r"^/\S+$")]  # a device node: /dev/...
Baud = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200]


class Section(BaseModel):
    """A table of a file that people write. Unknown keys are refused: a misspelt one is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, defer_build=True
    )  # built whole, once, by the model of the file


FAULTS = (
    "faults"  # marks what spans settings; its context holds (path below the section, message) pairs
)


def refuse(faults: list[tuple[str, str]]) -> None:
    """Refuse a section for what spans its settings, each fault with its path below the section."""
    if faults:
        text = "; ".join(f"{path}: {message}" for path, message in faults)
        raise PydanticCustomError(FAULTS, "{text}", {"text": text, "faults": faults})
