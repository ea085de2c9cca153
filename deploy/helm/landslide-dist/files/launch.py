"""``torchrun`` that ends with the exit status of the process that failed first.

Its own is 1 whatever happened; Kubernetes is to tell a user's mistake (2), which no restart mends.
"""

import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

try:
    main()
except ChildFailedError as failed:
    _, first = failed.get_first_failure()
    # A signal's number is negative there.
    sys.exit(first.exitcode if first.exitcode > 0 else 128 - first.exitcode)
