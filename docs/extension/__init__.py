"""What the documentation takes from the package when it is built: sources, drawings, weights, figures, the atlas."""
