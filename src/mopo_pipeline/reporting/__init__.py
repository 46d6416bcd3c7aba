"""What a run leaves for people and for machines: figures, tables, one page, one summary."""
