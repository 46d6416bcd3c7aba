"""The models a run leaves: the reference and the policy."""
