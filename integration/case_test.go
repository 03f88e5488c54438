//go:build linux

package integration

import (
	"os"
	"syscall"
	"testing"
)

// TestServerThatIgnoresCase: on a server that finds names in any case there is
// one file under all of them, listed once.
func TestServerThatIgnoresCase(t *testing.T) {
	t.Parallel()
	s := startServer(t, proftpd, "LoadModule mod_case.c", "CaseEngine on", "CaseIgnore on")
	put(t, s.Served+"/Readme.txt", []byte("hello"))
	m := mount(t, s)
	only := func(want string) {
		t.Helper()
		if got := sh(t, m.Dir, "find . -mindepth 1 | sort | tr '\\n' ' '"); got != want {
			t.Errorf("it lists %q, want %q", got, want)
		}
		if got := sh(t, s.Served, "find . -mindepth 1 | sort | tr '\\n' ' '"); got != want {
			t.Errorf("the server has %q, want %q", got, want)
		}
	}
	if got := sh(t, m.Dir, "cat README.TXT readme.txt Readme.txt"); got != "hellohellohello" {
		t.Errorf("it reads %q", got)
	}
	only("./Readme.txt ")
	sh(t, m.Dir, "echo more >> README.txt; echo other > NEW; echo third > new; ! mkdir New; mkdir dir; ! mkdir Dir; echo x > DIR/f; cat dir/F")
	only("./NEW ./Readme.txt ./dir ./dir/f ")
	// It says that it has renamed NEW to new, and has not.
	wantErrno(t, os.Rename(m.Dir+"/NEW", m.Dir+"/new"), syscall.EINVAL)
	sh(t, m.Dir, "rm -r DIR; rm readme.TXT; ! test -e Readme.txt; mv NEW other; mv other new")
	only("./new ")
	if b, err := os.ReadFile(s.Served + "/new"); err != nil || string(b) != "third\n" {
		t.Errorf("the server has %q, %v", b, err)
	}
}
