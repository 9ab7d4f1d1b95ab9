"""What `plan-tiles` decides, one question a module.

views: which axes of a tensor are N, H, W and C.  assignment: of every tensor of a function.
storage: which buffer a tensor is, or is a window of.  geometry: what a tile of a result reads.
layouts: how a buffer is sliced.  residency: what lies in SRAM when, and how kernels are tiled.
intervals: addresses from liveness.
"""
