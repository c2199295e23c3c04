// Command leaver is an agent that says something and ends, which no process 1 may do.
package main

import "os"

func main() {
	println("had enough")
	os.Exit(3)
}
