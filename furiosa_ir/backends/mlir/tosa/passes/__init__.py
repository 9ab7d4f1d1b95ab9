"""The passes to TOSA."""
