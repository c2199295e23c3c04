package boxlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// homeFormat is the format of the home folder. boxlite.lock holds it.
const homeFormat = 1

// hintOtherHome is for a home that can't be used.
const hintOtherHome = "choose another folder with --home, BOXLITE_HOME or Options.Home"

// homeDir returns the absolute path of the home folder.
func homeDir(option string) (string, error) {
	dir := option
	if dir == "" {
		dir = os.Getenv("BOXLITE_HOME")
	}
	if dir == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return "", &Error{
				Kind: ErrConfig, Op: "find BoxLite's home folder", Err: err,
				Hint: "set BOXLITE_HOME to a folder that you may write to",
			}
		}
		dir = filepath.Join(user, ".boxlite")
	}
	return filepath.Abs(dir)
}

// lockHome makes the home folder if need be and holds its lock, shared with all
// others that have it open.
func lockHome(home string) (*flock.Flock, error) {
	fail := func(err error) (*flock.Flock, error) {
		return nil, &Error{
			Kind: ErrStorage, Op: "open BoxLite's home " + home, Err: err,
			Hint: hintOtherHome,
		}
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return fail(err)
	}
	path := filepath.Join(home, "boxlite.lock")
	lock := flock.New(path, flock.SetPermissions(0o600))
	held, err := lock.TryRLock()
	if err != nil {
		return fail(err)
	}
	if !held {
		return nil, &Error{
			Kind: ErrInvalidState, Op: "open BoxLite's home " + home,
			Err:  errors.New("another program holds it for itself"),
			Hint: "wait for that program to end",
		}
	}
	if err := checkFormat(path); err != nil {
		_ = lock.Close()
		return fail(err)
	}
	return lock, nil
}

// checkFormat writes the format into a new home, and refuses one of a later
// version of BoxLite.
func checkFormat(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return os.WriteFile(path, fmt.Appendln(nil, homeFormat), 0o600)
	}
	format, err := strconv.Atoi(text)
	if err != nil {
		return &Error{
			Kind: ErrStorage, Err: fmt.Errorf("%s is damaged: %w", path, err),
			Hint: "remove that file, if the home was last used by this version of BoxLite",
		}
	}
	if format > homeFormat {
		return &Error{
			Kind: ErrUnsupported,
			Err:  fmt.Errorf("its format is %d, of a later version of BoxLite; this one knows %d", format, homeFormat),
			Hint: "use a newer version of BoxLite, or another home",
		}
	}
	return nil
}
