"""Measures the gallery search at scale, in a scratch database, beside numpy and faiss."""
