"""Width theory for neural networks: constructions, bounds, exact analysis and fits, side by side."""
