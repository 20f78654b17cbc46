"""Embeddings as outputs: heat maps, pairs, maps and comparisons; the pictures have no links."""
