"""Warboy's part of `furiosa compile --optimize search`: layouts of buffers, and what they cost.

`chains` is what workers do: it changes one buffer's layout after the other and adds up what the
kernels around it cost. `search_plan` is the pass: the best states become whole programs, whose
timelines decide, so that what is found is never worse than what was there before.
"""
