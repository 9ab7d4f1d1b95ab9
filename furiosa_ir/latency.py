"""How long a run of a program takes: what the device, the host and the link between them add."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """Estimated microseconds of one run: device, host and link, one after the other.

    Attributes:
        npu_latency_us: device segments of a session that has run before (warm).
        host_latency_us: host segments, and what brings tensors into the device's form.
        link_latency_us: moving what device segments take from the host and give to it.
        setup_latency_us: what a session does once, in front of its first run.
    """

    npu_latency_us: float = 0.0
    host_latency_us: float = 0.0
    link_latency_us: float = 0.0
    setup_latency_us: float = 0.0

    @property
    def total_latency_us(self) -> float:
        """A run of a session that has run before (warm)."""
        return self.npu_latency_us + self.host_latency_us + self.link_latency_us

    @property
    def cold_latency_us(self) -> float:
        """A session's first run, with its set-up."""
        return self.setup_latency_us + self.total_latency_us

    def figures(self) -> dict[str, float]:
        """All six by name, as summaries have them."""
        totals = {"total_latency_us": self.total_latency_us}
        return {**asdict(self), **totals, "cold_latency_us": self.cold_latency_us}
