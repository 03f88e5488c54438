package conn

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheckName(t *testing.T) {
	for _, tt := range []struct {
		name string
		want error
	}{
		{"a", nil},
		{" lead and trail ", nil},
		{"...", nil},
		{".hidden", nil},
		{`back\slash`, nil},
		{"tab\tand \x01\xff", nil},
		{"ü", nil},
		{strings.Repeat("n", 255), nil},
		{strings.Repeat("n", 256), ErrNameTooLong},
		{"", ErrInvalidName},
		{".", ErrInvalidName},
		{"..", ErrInvalidName},
		{"a/b", ErrInvalidName},
		{"/", ErrInvalidName},
		{"a\x00", ErrInvalidName},
		{"a\rb", ErrInvalidName},
		{"a\nDELE b", ErrInvalidName},
		{strings.Repeat("n", 256) + "\n", ErrInvalidName},
	} {
		if err := CheckName(tt.name); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("CheckName(%q) = %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestCheckPath(t *testing.T) {
	for _, p := range []string{"/", "/a", "/a b/ c", "/...", "/" + strings.Repeat("n", 300)} {
		if err := CheckPath(p); err != nil {
			t.Errorf("CheckPath(%q) = %v", p, err)
		}
	}
	for _, p := range []string{"", "a", "a/b", "//", "/a/", "/a//b", "/.", "/a/..", "/../a", "/./a", "/a\r\nDELE b", "/a\x00", "\n/a"} {
		if err := CheckPath(p); !errors.Is(err, ErrInvalidName) {
			t.Errorf("CheckPath(%q) = %v, want ErrInvalidName", p, err)
		}
	}
}

// A path made of names that pass CheckName passes CheckPath, and a name that
// CheckName refuses for its bytes makes no path.
func TestCheckPathFollowsNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", ".", "..", "a\n", "\x00", "x"})), 1, 4).Draw(t, "names")
		good := true
		for _, n := range names {
			if strings.Contains(n, "/") {
				return
			}
			if err := CheckName(n); err != nil && !errors.Is(err, ErrNameTooLong) {
				good = false
			}
		}
		p := "/" + strings.Join(names, "/")
		if p == "/" {
			return
		}
		if err := CheckPath(p); (err == nil) != good {
			t.Fatalf("CheckPath(%q) = %v; names %q", p, err, names)
		}
	})
}
