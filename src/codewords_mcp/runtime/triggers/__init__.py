"""Triggers of runs: cron times, schedules, webhooks and Slack's Socket Mode. Runs are started in
`runs/`.
"""
