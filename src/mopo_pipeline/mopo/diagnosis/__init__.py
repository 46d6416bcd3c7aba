"""What goes wrong in a plan or a run, with the limit and what to change."""
