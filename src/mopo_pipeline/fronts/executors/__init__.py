"""Where the whole runs of a sweep are carried out: processes of this machine, or jobs of a cluster.

An executor has ``submit(command, log, folder)``, which returns a future of ``concurrent.futures`` whose result is the
command's exit code, and is left as a context: after its commands have ended, or with an end to them where the sweep is stopped.
"""
