"""The bit-exact simulator and its timing: they read ENF records, never the IR."""

from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.backends.warboy.simulator.timeline import (
    TimelineEntry,
    cycles,
    latency_us,
    timeline,
)

__all__ = ["Simulator", "TimelineEntry", "cycles", "latency_us", "timeline"]
