"""One package per stage: ``nodes.py`` holds thin functions, ``pipeline.py`` wires names."""
