"""What every level shares: constants, locations, fixed point, rewriting, verification, passes."""
