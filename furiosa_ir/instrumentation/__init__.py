"""What a compiler engineer sees of a compile: IR between passes, rewrites, time, statistics.

`options` says what is asked for, `watching` makes the instruments of it; each other module is one
of them. What they hear of is `ir.pipeline.Instrumentation`, `ir.rewrite_watch` and `spans`.
"""
