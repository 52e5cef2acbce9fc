"""The pages, in the order in which a team meets them, and the organisers' console."""
