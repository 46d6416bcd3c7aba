"""One policy for all thresholds: told behind the prompt what its multipliers are to be.

``lattice`` says which multipliers there are and what rows weigh at them, ``train`` clones the policies of all of them into
one model and measures it, ``steer`` finds the words for given thresholds, ``policy`` answers with them.
"""
