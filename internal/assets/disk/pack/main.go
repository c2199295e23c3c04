// Command pack copies a disk from standard input to standard output in the
// format of package assets: for each block of 4,096 bytes that holds more than
// zeros, its offset as 8 bytes, the least significant first, and then the block.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := pack(os.Stdout, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(w io.Writer, disk io.Reader) error {
	const blockSize = 4096
	in, out := bufio.NewReaderSize(disk, 1<<20), bufio.NewWriter(w)
	var block, zeros [blockSize]byte
	for offset := uint64(0); ; offset += blockSize {
		_, err := io.ReadFull(in, block[:])
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return err
		}
		if block == zeros {
			continue
		}
		if err := binary.Write(out, binary.LittleEndian, offset); err != nil {
			return err
		}
		if _, err := out.Write(block[:]); err != nil {
			return err
		}
	}
}
