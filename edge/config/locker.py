"""The sections for doors: their locks and contacts, on pins or on lock boards."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from edge.config.section import Baud, Name, Node, Pin, Section, refuse


class Compartment(Section):
    """One door: its lock and its contact, on pins or on a lock board."""

    lock_pin: Pin | None = None
    door_pin: Pin | None = None
    door_open_high: bool = True  # the contact reads high when the door is open
    # The connector on the lock board, as printed on it.
    lock_number: int | None = Field(None, ge=1, le=16)
    # With several boards on one bus; None: locker.board.address.
    board_address: int | None = Field(None, ge=0, le=9)

    @property
    def has_contact(self) -> bool:
        """Return whether the door's state can be read. A lock board reads it from the lock."""
        return self.door_pin is not None or self.lock_number is not None


class LockBoardSection(Section):
    """Lock boards on an RS-485 line (KR-CU16 protocol, docs/adr/0050). They time the pulse."""

    port: Node
    baud: Baud = 19200
    address: int = Field(0, ge=0, le=9)  # the board's switch
    # A status bit of 1 means closed; some firmware has it the other way round.
    closed_is_one: bool = True


class LockerSection(Section):
    """Locks by compartment name. With ``board``, pulse_ms is the unlock time set on the boards."""

    driver: Literal["gpio", "board"] = "gpio"
    board: LockBoardSection | None = None
    compartments: dict[Name, Compartment] = Field({})
    active_high: bool = True
    pulse_ms: int = Field(400, ge=20, le=5000)
    door_open_timeout_s: float = Field(10.0, ge=1, le=120)
    door_close_timeout_s: float = Field(90.0, ge=5, le=3600)
    grace_s: float = Field(120.0, ge=0, le=3600)  # the same code may reopen its door

    @model_validator(mode="after")
    def _wired_as_driven(self) -> LockerSection:
        """Refuse a door that is not wired to its driver, or is wired to anything else."""
        own, other = (("lock_pin",), ("lock_number", "board_address"))
        if self.driver == "board":
            own, other = (("lock_number",), ("lock_pin", "door_pin"))
        faults = [
            (f"compartments.{name}.{key}", f'driver "{self.driver}" {has}')
            for name, door in self.compartments.items()
            for keys, wanted, has in (
                (own, True, "needs it"),
                (other, False, "does not use it: remove it"),
            )
            for key in keys
            if (getattr(door, key) is not None) is not wanted
        ]
        if self.driver == "board" and self.board is None:
            faults.append(("board", 'driver "board" needs this section, with port'))
        if self.driver == "gpio" and self.board is not None:
            faults.append(
                ("board", 'driver "gpio" does not use it: set driver = "board" or remove it')
            )
        refuse(faults + self._twice())
        return self

    def _twice(self) -> list[tuple[str, str]]:
        taken: dict[tuple[int, int], str] = {}
        faults = []
        for name, place in self.board_places().items():
            if place in taken:
                message = (
                    f"lock {place[1]} of board {place[0]} belongs to compartment {taken[place]}"
                )
                faults.append((f"compartments.{name}.lock_number", message))
            taken.setdefault(place, name)
        return faults

    def board_places(self) -> dict[str, tuple[int, int]]:
        """Return each compartment's place on the bus: board address, and lock number from 1."""
        own = self.board.address if self.board is not None else 0
        return {
            name: (own if door.board_address is None else door.board_address, door.lock_number)
            for name, door in self.compartments.items()
            if door.lock_number is not None
        }
