"""How good the trained policy is: sampled, judged, re-weighted and, where possible, enumerated."""
