"""How things look in a notebook: HTML without scripts, which needs neither IPython nor a network.

Texts come from models, which are anybody's: each is escaped where it is put in.
"""
