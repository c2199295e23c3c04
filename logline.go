package boxlite

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"
)

// fileContainer is the log of the main process, in the CRI's format.
const fileContainer = "logs/container.log"

// maxLogLine is longer than any line that the shim writes.
const maxLogLine = 64 << 10

// parseLogLine reads one line as the CRI log format has them:
//
//	2026-01-02T03:04:05.000000006Z stdout F text
//
// After P instead of F, the text goes on in the next line of its stream. A line
// that a killed shim left damaged is taken as it is, as text without a time.
func parseLogLine(data []byte) LogLine {
	raw := LogLine{Stream: "stdout", Text: string(data)}
	stamp, rest, ok := bytes.Cut(data, []byte(" "))
	if !ok || len(stamp) > len(time.RFC3339Nano) {
		return raw
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return raw
	}
	for _, stream := range []string{"stdout", "stderr"} {
		tagged, ok := bytes.CutPrefix(rest, []byte(stream+" "))
		if !ok {
			continue
		}
		if text, ok := bytes.CutPrefix(tagged, []byte("F ")); ok {
			return LogLine{Time: at, Stream: stream, Text: string(text)}
		}
		if text, ok := bytes.CutPrefix(tagged, []byte("P ")); ok {
			return LogLine{Time: at, Stream: stream, Text: string(bytes.TrimSuffix(text, []byte("\n")))}
		}
	}
	return raw
}

// consoleLine takes a line as it is.
func consoleLine(data []byte) LogLine { return LogLine{Stream: "console", Text: string(data)} }

// seekTail moves to where the last n lines of a file begin.
func seekTail(f *os.File, n int) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	at := end
	for at > 0 {
		size := min(at, int64(len(buf)))
		at -= size
		if _, err := f.ReadAt(buf[:size], at); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for i := size - 1; i >= 0; i-- {
			// The end of the last line is not the beginning of another.
			if buf[i] != '\n' || at+i == end-1 {
				continue
			}
			if n--; n == 0 {
				_, err := f.Seek(at+i+1, io.SeekStart)
				return err
			}
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
