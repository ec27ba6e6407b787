"""What holds for every test."""

import os

# As in the units under systemd/: NumPy's library starts a thread for each further core when it is
# loaded, and a process with threads must not fork, as the decoder's processes and the tests that
# kill a child do.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
