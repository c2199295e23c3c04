package box

import (
	"path/filepath"
	"reflect"

	"github.com/boxlite-go/boxlite/internal/stage"
)

// Configure changes what was asked for. change works on a copy; then apply does the
// same to the box's run; then the record is replaced. If either fails, the record
// stays as it was.
func (l *Locked) Configure(op string, change func(*Config) error, apply func() error) error {
	if l.Err != nil {
		return l.Err
	}
	config := l.Config
	if err := change(&config); err != nil {
		return err
	}
	if err := apply(); err != nil {
		return err
	}
	if reflect.DeepEqual(config, l.Config) {
		return nil
	}
	stage.Reached("configure/applied", l.Config.Label())
	if err := replaceJSON(filepath.Join(l.Dir(), fileConfig), config); err != nil {
		return storageError(op, l.Config.Label(), err)
	}
	l.Config = config
	return nil
}
