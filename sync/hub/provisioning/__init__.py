"""Makes the files of a platform, and adds devices to them."""
