package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/boxlite-go/boxlite"
)

// config is the file of --config. What it leaves out has its default.
type config struct {
	Home          string              `json:"home"`
	Engine        string              `json:"engine"`
	Security      string              `json:"security"`
	Mirrors       map[string][]string `json:"mirrors"`
	Registries    []string            `json:"registries"`
	MaxImageBytes int64               `json:"maxImageBytes"`
}

// readConfig reads the settings of a file, or none if it has no name. A setting
// that isn't known is an error: it may be one that was meant to make boxes safer.
func readConfig(file string) (boxlite.Options, error) {
	if file == "" {
		return boxlite.Options{}, nil
	}
	var c config
	data, err := os.ReadFile(file)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		if err = decoder.Decode(&c); err == nil {
			if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
				err = errors.New("there is more after the settings")
			}
		}
	}
	if err == nil && c.MaxImageBytes < 0 {
		err = fmt.Errorf("maxImageBytes can't be %d", c.MaxImageBytes)
	}
	if err != nil {
		return boxlite.Options{}, &boxlite.Error{
			Kind: boxlite.ErrConfig, Op: "read the configuration " + file, Err: err,
			Hint: "docs/configuration.md shows what it may hold",
		}
	}
	return boxlite.Options{
		Home: c.Home, Engine: c.Engine, Security: boxlite.Security(c.Security),
		Mirrors: c.Mirrors, Registries: c.Registries, MaxImageBytes: c.MaxImageBytes,
	}, nil
}
