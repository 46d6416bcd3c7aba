"""Fronts: many plans, a policy each, side by side with rivals on the same ground.

``points`` places thresholds and solves their plans, ``tree`` says who starts from whom, ``jobs`` and ``sweep`` run a point as a
run of its own, ``values`` says what a policy is worth, ``verdict`` who dominates whom.
"""
