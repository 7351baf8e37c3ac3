"""Many simulated kiosks before a real installation: what it sustains, what it drops, how fairly."""
