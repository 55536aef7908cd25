"""What each command does; the arguments are declared in `workflows.command_line`."""
