"""Triggers of runs: cron times, schedules, webhooks, event sources and Slack's Socket Mode. Runs are started in
`runs/`.
"""
