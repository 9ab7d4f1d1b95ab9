"""Crash reproducers: one file with all that a failure needs to happen again (docs/reproducers.md).

`recording` watches a compile and writes one when it fails, `container` is the file, `running` runs
one. A file is data: code that it holds of plug-ins runs only where somebody asks for that.
"""
