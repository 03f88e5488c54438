package fs_test

import (
	"strconv"
	"strings"
	"testing"
)

// versions are of a file that the kernel knows with the size of old when
// somebody else replaces it.
var versions = map[string]struct{ old, now string }{
	"it grew":   {strings.Repeat("1", 100), strings.Repeat("2", 200)},
	"it shrank": {strings.Repeat("1", 9000), strings.Repeat("2", 5000)},
}

// changed returns a mount whose kernel knows the old size of f, and has its
// content if read is set, when the server has the new one.
func changed(t *testing.T, old, now string, read bool) *mounted {
	t.Helper()
	r := mount(t)
	r.put("f", old)
	if got := r.run("stat", "-c", "%s", "f"); got != strconv.Itoa(len(old)) {
		t.Fatalf("size %s, want %d", got, len(old))
	}
	if read {
		r.run("cat", "f")
	}
	r.put("f", now)
	return r
}

func TestReadSeesTheVersionOfTheServer(t *testing.T) {
	for name, v := range versions {
		for _, read := range []bool{false, true} {
			t.Run(name+", read before: "+strconv.FormatBool(read), func(t *testing.T) {
				r := changed(t, v.old, v.now, read)
				if got := r.run("cat", "f"); got != v.now {
					t.Errorf("cat gives %d bytes, %.20q…; want %d", len(got), got, len(v.now))
				}
				if got := r.run("stat", "-c", "%s", "f"); got != strconv.Itoa(len(v.now)) {
					t.Errorf("stat after it: %s, want %d", got, len(v.now))
				}
			})
		}
	}
}

func TestAppendGoesToTheEndThatTheServerHas(t *testing.T) {
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			r := changed(t, v.old, v.now, false)
			r.sh("printf X >> f")
			r.has("f", v.now+"X")
		})
	}
}
