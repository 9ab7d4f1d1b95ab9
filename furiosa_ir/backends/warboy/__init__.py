"""The Warboy backend: machine, lowering, tiling, scheduling, memory, ENF, simulator."""
