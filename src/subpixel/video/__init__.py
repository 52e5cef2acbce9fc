"""Everything that touches files, codecs and containers; the only package that imports av."""
