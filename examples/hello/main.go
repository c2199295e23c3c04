// Command hello runs a command in a box.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/boxlite-go/boxlite"
)

func main() {
	ctx := context.Background()
	rt, err := boxlite.Open(boxlite.Options{})
	check(err)
	defer rt.Close()
	box, err := rt.Create(ctx, boxlite.BoxSpec{AutoRemove: true})
	check(err)
	out, err := box.Command("echo", "hello from a box").Output(ctx)
	check(err)
	fmt.Print(string(out))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
