package substitute

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// model replaces as the documentation says it, without any care for speed.
func model(pairs []Pair, s string) string {
	var b strings.Builder
	for s != "" {
		best := -1
		for i, p := range pairs {
			if p.Old != "" && strings.HasPrefix(s, p.Old) && (best < 0 || len(p.Old) > len(pairs[best].Old)) {
				best = i
			}
		}
		if best < 0 {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		b.WriteString(pairs[best].New)
		s = s[len(pairs[best].Old):]
	}
	return b.String()
}

func found(pairs []Pair, s string) bool {
	for _, p := range pairs {
		if p.Old != "" && strings.Contains(s, p.Old) {
			return true
		}
	}
	return false
}

func TestReplacer(t *testing.T) {
	for _, test := range []struct {
		name     string
		pairs    []Pair
		in, want string
	}{
		{"no pairs", nil, "abc", "abc"},
		{"an empty Old", []Pair{{"", "x"}}, "abc", "abc"},
		{"an empty text", []Pair{{"a", "x"}}, "", ""},
		{"the whole text", []Pair{{"abc", "x"}}, "abc", "x"},
		{"an empty New", []Pair{{"b", ""}}, "abcb", "ac"},
		{"nothing left", []Pair{{"ab", ""}}, "abab", ""},
		{"the longest wins", []Pair{{"a", "1"}, {"abc", "3"}, {"ab", "2"}}, "abcabda", "32d1"},
		{"the first of two equal ones wins", []Pair{{"a", "1"}, {"a", "2"}}, "a", "1"},
		{"the leftmost wins", []Pair{{"bcd", "x"}, {"ab", "y"}}, "abcd", "ycd"},
		{"a longer one that fails", []Pair{{"ab", "1"}, {"abcdef", "2"}}, "abcdeabcdef", "1cde2"},
		{"a short one within a longer one that fails", []Pair{{"cd", "1"}, {"abcdef", "2"}}, "abcdex", "ab1ex"},
		{"a short one after one that it overlaps", []Pair{{"ab", "1"}, {"bc", "2"}, {"cd", "3"}}, "abcd", "13"},
		{"a match that begins within another", []Pair{{"aab", "1"}, {"ba", "2"}}, "aabab", "1ab"},
		{"repetition", []Pair{{"aa", "x"}}, "aaaaa", "xxa"},
		{"what is put in is not looked at", []Pair{{"a", "b"}, {"b", "a"}}, "ab", "ba"},
		{"what is put in makes no match", []Pair{{"xy", "a"}, {"ab", "!"}}, "xyb", "ab"},
		{"bytes that are no text", []Pair{{"\x00\xff", "\xfe"}}, "\x00\x00\xff\xff", "\x00\xfe\xff"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if want := model(test.pairs, test.in); want != test.want {
				t.Fatalf("the model makes %q of it, not %q", want, test.want)
			}
			r := New(test.pairs)
			if got := r.String(test.in); got != test.want {
				t.Errorf("String(%q) = %q, want %q", test.in, got, test.want)
			}
			if got, want := r.Found(test.in), found(test.pairs, test.in); got != want {
				t.Errorf("Found(%q) = %v, want %v", test.in, got, want)
			}
		})
	}
}

func TestNilReplacerReplacesNothing(t *testing.T) {
	var r *Replacer
	src := strings.NewReader("abc")
	if r.String("abc") != "abc" || r.Found("abc") || r.Reader(src) != src {
		t.Error("a nil replacer did something")
	}
}

func TestEncodings(t *testing.T) {
	for _, test := range []struct {
		value string
		want  []string
	}{
		{"", nil},
		{"abc", []string{"YWJj"}},
		{"abcd", []string{"abcd", "YWJjZA==", "YWJjZA"}},
		{"a b/<\"", []string{
			"a b/<\"", "a+b%2F%3C%22", "a%20b%2F%3C%22", "YSBiLzwi", `a b/\u003c\"`, `a b/<\"`,
		}},
		{"\xff\xfe\xfd\xfc", []string{
			"\xff\xfe\xfd\xfc", "%FF%FE%FD%FC", "//79/A==", "//79/A", "__79_A==", "__79_A",
		}},
	} {
		if diff := cmp.Diff(test.want, Encodings(test.value)); diff != "" {
			t.Errorf("Encodings(%q): (-want +got)\n%s", test.value, diff)
		}
	}
}
