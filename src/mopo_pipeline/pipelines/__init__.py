"""One package per stage: ``pipeline.py`` names functions and wires names; ``nodes.py`` holds what joins rooms."""
