package box

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/boxlite-go/boxlite/internal/durable"
)

const (
	fileConfig = "config.json"
	fileState  = "state.json"
	fileLock   = "lock"
	dirLogs    = "logs"

	// maxRecord bounds the files that are read. Environment and arguments are
	// most of a record.
	maxRecord = 16 << 20
)

func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return err
	}
	if len(data) > maxRecord {
		return fmt.Errorf("%s is larger than %d bytes", path, maxRecord)
	}
	if !utf8.Valid(data) { // which encoding/json would mend
		return fmt.Errorf("%s is damaged: it is not text", path)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	return nil
}

func marshal(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}

// createJSON writes a new file durably. Its folder is synced by the caller.
func createJSON(path string, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// replaceJSON puts v in the place of a file, at once and durably.
func replaceJSON(path string, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	return durable.Replace(path, data)
}
