"""Models in this process, behind the same transport seam as the network."""
