"""What `import furiosa_ir as fi` offers: docs/api.md.

`furiosa_ir/__init__.py` says which names there are and imports what somebody asks for. What is
written here leaves what it is given as it is, and takes and gives whole things: modules, programs,
reports. The rest of the names are those of the layers below.
"""
