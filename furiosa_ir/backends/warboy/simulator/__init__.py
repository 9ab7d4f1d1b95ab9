"""The bit-exact simulator and its timing: they read ENF records, never the IR.

A compile needs the timing alone: whoever wants one of them imports its module.
"""
