"""What editors ask of IR text: faults, documentation, definitions, uses, names that go on.

`text_index` finds names in a text, sound or not; `document` reads it as IR; `hover` and
`completion` answer; `server` speaks the Language Server Protocol, and is the only one that needs
pygls.
"""
