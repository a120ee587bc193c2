"""What a person touches: the command line, the suggestion service, the web page."""

import os

# Must be set before torch is loaded. Threads that spin for long while they wait starve each other as soon
# as anything else wants the processors (15 times slower beside one busy process); threads that sleep at
# once lose a third on a quiet machine. A short spin keeps both speeds.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
