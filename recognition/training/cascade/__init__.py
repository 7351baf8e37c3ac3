"""Trains MTCNN's three networks: annotations, samples by overlap, losses, one net after another."""
