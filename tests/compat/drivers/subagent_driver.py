"""Runs inside a published client's environment with `openai-agents`: a SubAgent's answer, as JSON.

Usage: subagent_driver.py TASK. The runtime is found by the environment, as scripts do it.
"""

# pyright: basic, reportAttributeAccessIssue=false

import asyncio
import json
import sys

from codewords_client.agent import SubAgent

told = asyncio.run(SubAgent(task=sys.argv[1]).run())
print("RESULT " + json.dumps(told))
