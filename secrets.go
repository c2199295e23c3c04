package boxlite

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/network/proxy"
	"github.com/boxlite-go/boxlite/internal/secret"
)

// Secret is a value that programs in the box can use, but never see. They see a
// placeholder, in the environment variable BOXLITE_SECRET_NAME. Where it occurs in a
// request to one of Hosts (in headers, the URL or the body) the host puts the value in
// its place on the way out; where the value occurs in an answer, the placeholder comes
// back instead.
//
// The value is kept in the home encrypted, with a key of the home; in the memory of
// the box's shim in clear; and nowhere else.
type Secret struct {
	// Name is made of letters, digits, '_' and '-'.
	Name string
	// Value is the secret, from 4 bytes to 64 KiB. If it is empty, From says where it
	// is read at each start instead, and it is not kept at all: "env:VARIABLE" of the
	// program that starts the box, or "file:/path".
	Value string
	From  string
	// Hosts are those that get it: names, or *.example.com, perhaps with a port; port
	// 443 if none is given. They may be reached on that port without a rule of their
	// own. Their certificates are verified; http://example.com is for servers without
	// TLS, on port 80 if none is given.
	Hosts []string
	// Placeholder is what programs see. Empty means <BOXLITE_SECRET:NAME>.
	Placeholder string
}

// String tells the secret without its value.
func (s Secret) String() string {
	return fmt.Sprintf("secret %s for %s", s.Name, strings.Join(s.Hosts, ", "))
}

// GoString is String, so that no format prints the value.
func (s Secret) GoString() string { return s.String() }

// Format is String, so that no format prints the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalJSON leaves out the value.
func (s Secret) MarshalJSON() ([]byte, error) {
	return json.Marshal(SecretInfo{Name: s.Name, Hosts: s.Hosts, Placeholder: s.Placeholder, From: s.From})
}

// SecretInfo is what is told of a secret: all but the value.
type SecretInfo struct {
	Name        string   `json:"name"`
	Hosts       []string `json:"hosts"`
	Placeholder string   `json:"placeholder"`
	// From is where the value is read at each start; empty if it is kept.
	From string `json:"from"`
}

const maxSecret = 64 << 10

var secretName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func checkSecrets(op string, secrets []Secret) error {
	var names []string
	for _, s := range secrets {
		if err := s.check(op); err != nil {
			return err
		}
		if slices.Contains(names, s.variable()) {
			return invalid(op, "give each secret a name of its own", fmt.Errorf("two secrets have the variable %s", s.variable()))
		}
		names = append(names, s.variable())
	}
	return nil
}

func (s Secret) check(op string) error {
	kind, from, _ := strings.Cut(s.From, ":")
	switch {
	case !secretName.MatchString(s.Name):
		return invalid(op, "use up to 64 letters, digits, '_' and '-'", fmt.Errorf("%.100q can't be the name of a secret", s.Name))
	case (s.Value == "") == (s.From == ""):
		return invalid(op, "give either a value or a place to read it from", fmt.Errorf("the secret %s has no value, or two", s.Name))
	case s.From != "" && (kind != "env" && kind != "file" || from == "" || kind == "file" && !filepath.IsAbs(from)):
		return invalid(op, "write env:VARIABLE, or file: and an absolute path", fmt.Errorf("the secret %s can't be read from %.100q", s.Name, s.From))
	case len(s.Hosts) == 0:
		return invalid(op, "name the hosts that may get it", fmt.Errorf("the secret %s is for no host", s.Name))
	}
	value := s.Value
	if s.From != "" {
		value = "not known yet"
	}
	if err := s.toProxy(value).Validate(); err != nil {
		return &Error{Kind: ErrInvalidArgument, Op: op, Err: err}
	}
	return nil
}

// variable is the environment variable that holds the placeholder.
func (s Secret) variable() string { return secretVariable(s.Name) }

func secretVariable(name string) string {
	return "BOXLITE_SECRET_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func placeholderOf(s box.Secret) string { return cmp.Or(s.Placeholder, "<BOXLITE_SECRET:"+s.Name+">") }

func (s Secret) toProxy(value string) proxy.Secret {
	return proxy.Secret{
		Name: s.Name, Value: value, Hosts: s.Hosts,
		Placeholder: placeholderOf(box.Secret{Name: s.Name, Placeholder: s.Placeholder}),
	}
}

// sealSecrets returns the secrets of a new box as they are kept.
func (rt *Runtime) sealSecrets(id string, secrets []Secret) ([]box.Secret, error) {
	var kept []box.Secret
	for _, s := range secrets {
		k := box.Secret{Name: s.Name, Hosts: s.Hosts, Placeholder: s.Placeholder, From: s.From}
		if s.Value != "" {
			keeper, err := secret.Open(rt.home)
			if err != nil {
				return nil, err
			}
			if k.Sealed, err = keeper.Seal([]byte(s.Value), secretContext(id, s.Name)); err != nil {
				return nil, err
			}
		}
		kept = append(kept, k)
	}
	return kept, nil
}

// secretContext binds a sealed value to its place: it can't be opened as another's.
func secretContext(id, name string) string { return id + "/" + name }

// openSecrets returns the secrets of a box that starts.
func (rt *Runtime) openSecrets(c *box.Config) ([]proxy.Secret, error) {
	const op = "read the box's secrets"
	var secrets []proxy.Secret
	for _, k := range c.Secrets {
		value, err := rt.secretValue(c, k)
		if err == nil {
			s := proxy.Secret{Name: k.Name, Value: value, Hosts: k.Hosts, Placeholder: placeholderOf(k)}
			secrets, err = append(secrets, s), s.Validate()
		}
		if err != nil {
			return nil, &Error{Kind: kindOfCause(err), Op: op, Box: c.Label(), Err: fmt.Errorf("secret %s: %w", k.Name, err)}
		}
	}
	return secrets, nil
}

// ReadSecret reads a value as [Secret.From] says it: "env:VARIABLE" or "file:/path". An
// error is of kind [ErrConfig].
func ReadSecret(from string) (string, error) {
	kind, at, _ := strings.Cut(from, ":")
	if kind == "file" {
		return readSecretFile(at)
	}
	if value := os.Getenv(at); value != "" {
		return value, nil
	}
	return "", &Error{
		Kind: ErrConfig, Op: "read a secret", Err: fmt.Errorf("the environment variable %s is not set, or empty", at),
		Hint: "set it where the box is started from",
	}
}

func (rt *Runtime) secretValue(c *box.Config, k box.Secret) (string, error) {
	if k.From != "" {
		return ReadSecret(k.From)
	}
	keeper, err := secret.Open(rt.home)
	if err != nil {
		return "", err
	}
	value, err := keeper.Unseal(k.Sealed, secretContext(c.ID, k.Name))
	return string(value), err
}

// readSecretFile reads a value from a file. A line break at its end does not count.
func readSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", &Error{Kind: ErrConfig, Op: "read a secret", Err: err}
	}
	defer f.Close()
	value, err := io.ReadAll(io.LimitReader(f, maxSecret+2))
	if err != nil {
		return "", &Error{Kind: ErrConfig, Op: "read a secret", Err: err}
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(value), "\n"), "\r")
	if text == "" || len(text) > maxSecret {
		return "", &Error{Kind: ErrConfig, Op: "read a secret", Err: errors.New("the file is empty, or holds more than 64 KiB")}
	}
	return text, nil
}

// secretEnv holds the placeholders of a box's secrets.
func secretEnv(c *box.Config) []string {
	var env []string
	for _, s := range c.Secrets {
		env = append(env, secretVariable(s.Name)+"="+placeholderOf(s))
	}
	return env
}
