"""Reading of one QR symbol: finder patterns, sampling grid, error correction, and libraries."""
