"""How a policy moves: loss, trainer, rows, refreshes."""
