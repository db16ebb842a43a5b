"""Starting the suite: launch files, robots, the demonstration."""
