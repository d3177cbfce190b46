"""When workflows run by themselves: cron, the book of schedules, and what a tick makes of it. What runs is not its business."""
