package boxlite

import (
	"bytes"
	"time"

	"github.com/boxlite-go/boxlite/internal/logfile"
	"github.com/boxlite-go/boxlite/internal/shim"
)

// Of a box's folder.
const (
	dirLogs = "logs"
	// fileShim is there from just before a run's shim gets to work until all of
	// the run has ended.
	fileShim = "shim.json"
)

// The logs of a box, in its folder.
var (
	// containerFiles are the log of the main process, in the CRI's format.
	containerFiles = logfile.Files{Path: "logs/container.log", Older: shim.OlderContainerLogs}
	consoleFiles   = logfile.Files{Path: fileConsole, Older: 1}
)

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
