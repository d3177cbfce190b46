"""The tools, one file each.

They call the runtime API, nothing below it, and never catch: `mcp_server.tool` is the boundary.
"""

from __future__ import annotations

from mcp.server.mcpserver.tools import Tool


def all_tools() -> list[Tool]:
    """Return all tools in the order of `tools/list`, which follows a workflow's life."""
    from codewords_mcp.tools import (
        call_integration,
        cancel_run,
        change_schedule,
        connect_integration,
        delete_secret,
        delete_workflow,
        deploy_workflow,
        edit_workflow,
        generate_workflow,
        get_integration,
        get_run,
        get_workflow,
        list_schedules,
        list_secrets,
        list_templates,
        list_workflows,
        read_practice,
        rollback_workflow,
        run_workflow,
        schedule_workflow,
        search_integrations,
        set_secret,
        validate_workflow,
    )

    modules = (
        generate_workflow,
        list_templates,
        read_practice,
        edit_workflow,
        validate_workflow,
        deploy_workflow,
        run_workflow,
        get_run,
        cancel_run,
        list_workflows,
        get_workflow,
        rollback_workflow,
        delete_workflow,
        schedule_workflow,
        list_schedules,
        change_schedule,
        list_secrets,
        set_secret,
        delete_secret,
        search_integrations,
        get_integration,
        connect_integration,
        call_integration,
    )
    return [module.TOOL for module in modules]
