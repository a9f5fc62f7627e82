"""Image data sets: textures made here, and public sets read from files that are never executed or unpickled."""
