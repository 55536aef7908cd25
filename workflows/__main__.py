"""`python -m workflows …`"""

import sys

from workflows.command_line import main

sys.exit(main())
