package monitor

// Main is the process. It returns its exit code when the machine has ended.
func Main() int { return 2 }
