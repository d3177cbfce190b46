"""What a chat host starts from the bundle: the server, with the settings that were filled in."""

import os
import sys

# A setting that was left empty arrives empty or, from some hosts, as the name of its field. Both mean: not set.
for name, value in list(os.environ.items()):
    if not value.strip() or value.startswith("${user_config."):
        del os.environ[name]

from codewords_mcp.__main__ import main  # noqa: E402

sys.exit(main())
