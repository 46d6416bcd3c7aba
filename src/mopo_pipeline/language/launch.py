"""Where ``mopo_pipeline.launching.launch`` was: commands that name this module still join a run."""

import runpy

if __name__ == "__main__":
    runpy.run_module("mopo_pipeline.launching.launch", run_name="__main__")
