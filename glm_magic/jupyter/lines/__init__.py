"""What each `%glm WORD` runs."""
