"""Models: fetched by pin or distilled on the spot, and the prompts that they get."""
