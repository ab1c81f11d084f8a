"""What people see: logs, the live view, the summary."""
