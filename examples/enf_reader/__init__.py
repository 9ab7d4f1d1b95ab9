"""A reader and executor of ENF 1, written from docs/enf.md alone; it needs numpy and that page."""
