"""Many pictures of one thing become one better picture (extra `multiframe`)."""
