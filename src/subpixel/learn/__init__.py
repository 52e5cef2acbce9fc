"""From videos to weights: training pairs, the training loop, the exported network. Needs the `train` extra."""
