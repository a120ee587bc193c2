"""What a person touches: the command line, the suggestion service, the web page."""

import os

# Must be set before torch is loaded. Threads that wait by spinning starve each other as soon as anything
# else wants the processors: beside one busy process, training was 15 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
