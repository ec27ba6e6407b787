"""Reading one QR symbol: finder patterns, sampling grid, error correction, and the libraries used."""
