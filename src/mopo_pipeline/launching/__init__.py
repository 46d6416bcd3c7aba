"""On how many processes a run trains, and what happens if one dies."""
