package box

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"regexp"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	idLength   = 12
	idAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

	// maxName is the length of the longest name of a box.
	maxName = 128
)

var (
	idPattern   = regexp.MustCompile(fmt.Sprintf(`^[0-9A-Za-z]{%d}$`, idLength))
	namePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
)

// NewID returns a random ID: 71 bits, so that no two are ever the same.
func NewID() string {
	limit := big.NewInt(int64(len(idAlphabet)))
	id := make([]byte, idLength)
	for i := range id {
		n, err := rand.Int(rand.Reader, limit)
		if err != nil {
			panic(err) // crypto/rand.Reader never fails
		}
		id[i] = idAlphabet[n.Int64()]
	}
	return string(id)
}

// CheckName reports what is wrong with the name of a box. The empty name, of a
// box that has none, is fine.
func CheckName(name string) error {
	if name == "" || len(name) <= maxName && namePattern.MatchString(name) {
		return nil
	}
	return &protocol.Error{
		Kind: protocol.KindInvalidArgument, Op: fmt.Sprintf("name a box %.200q", name),
		Err:  errors.New("that is not a valid name"),
		Hint: fmt.Sprintf("use letters, digits, '_', '.' and '-', beginning with a letter or digit, %d at most", maxName),
	}
}
