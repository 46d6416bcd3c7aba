"""Rivals: how else one trains for several objectives, on the same reference, data, budget and decoder.

``registry.train_rival`` is where one begins; a rival is a module, and a page of docs/rivals.
"""
